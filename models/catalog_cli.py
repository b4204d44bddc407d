"""Commands of the catalog: `opcgate models list|show|pull|verify|doctor`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from configs.schema import Settings
    from models.catalog import Catalog
    from models.doctor import Diagnosis

catalog_commands = typer.Typer()
ConfigPath = Annotated[
    Path | None, typer.Option("--config", help="Settings file; default $OPCGATE_CONFIG or configs/opcgate.yaml.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For machines: one JSON document.")]
ModelName = Annotated[str, typer.Argument(help="A model's id in the catalog.")]
MaybeModel = Annotated[str | None, typer.Argument(help="Only this model; default every model of the catalog.")]
COLOURS = {"ok": "green", "fits": "green", "tight": "yellow", "absent": "yellow", "unknown": "yellow"}


@catalog_commands.command("list")
def list_models(as_json: AsJson = False, config: ConfigPath = None) -> None:
    """List the catalog: sources, variants, adapters, verticals. / 列出模型目录。"""
    from rich.console import Console
    from rich.table import Column, Table

    from models.machine import read_machine
    from models.overview import overview

    _, catalog = _opened(config)
    machine = read_machine()
    found = [overview(catalog, base, machine) for base in catalog.settings.models]
    if as_json:
        _print(found)
        return
    names = ("from", "context", "variants", "adapters", "vertical", "licence", "filing")
    table = Table(Column("id", no_wrap=True), *names)
    for base, one in zip(catalog.settings.models, found, strict=True):
        source = base.source.kind()
        table.add_row(
            base.id,
            f"{source}: {one['source'][source]}",
            str(base.context_tokens),
            "\n".join(v["scheme"] + (" *" if v["scheme"] == base.served_variant else "") for v in one["variants"]),
            "\n".join(a["id"] for a in one["adapters"]),
            "\n".join(dict.fromkeys(str(a) for a in [base.vertical, *(b.vertical for b in base.adapters)] if a)),
            base.licence,
            base.filing_number or "",
        )
    Console().print(table)


@catalog_commands.command()
def show(model: ModelName, as_json: AsJson = False, config: ConfigPath = None) -> None:
    """Show all that the catalog says of a model. / 查看模型详情。"""
    import yaml

    from models.catalog import CatalogError
    from models.machine import read_machine
    from models.overview import overview

    _, catalog = _opened(config)
    try:
        base = catalog.public(model).base
    except CatalogError as error:
        _fail(str(error))
    found = overview(catalog, base, read_machine())
    if as_json:
        _print(found)
    else:
        typer.echo(yaml.safe_dump(found, allow_unicode=True, sort_keys=False).rstrip())


@catalog_commands.command()
def pull(model: ModelName, as_json: AsJson = False, config: ConfigPath = None) -> None:
    """Fetch a hub's model at its pinned revision, then check it; safetensors only. / 下载模型并校验。"""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from models.catalog import CatalogError
    from models.pull import pull as fetch
    from models.snapshot import SnapshotError

    _, catalog = _opened(config)
    if as_json:
        disable_progress_bars()
    try:
        base = catalog.base(model)
        folder = fetch(base, lambda line: typer.echo(line, err=True))
    except (CatalogError, SnapshotError) as error:
        _fail(str(error))
    if as_json:
        _print({"id": base.id, "folder": str(folder), "revision": base.source.revision})
    else:
        typer.echo(f"{base.id}: fetched and checked / 已下载并校验")


@catalog_commands.command()
def verify(model: MaybeModel = None, as_json: AsJson = False, config: ConfigPath = None) -> None:
    """Check digests of bases, variants and adapters; exit 1 when one is wrong. / 校验权重摘要。"""
    from rich.console import Console
    from rich.table import Column, Table

    from models.catalog import CatalogError
    from models.verify import verify as check

    _, catalog = _opened(config)
    try:
        found = list(check(catalog, model))
    except CatalogError as error:
        _fail(str(error))
    if as_json:
        _print([asdict(one) for one in found])
    else:
        table = Table(Column("id", no_wrap=True), "kind", "outcome", "digest", "pinned", "note")
        for one in found:
            outcome = f"[{COLOURS.get(one.outcome, 'red')}]{one.outcome}[/]"
            pinned = "yes" if one.pinned else "no"
            table.add_row(one.id, one.kind, outcome, (one.digest or "")[:12], pinned, one.said)
        Console().print(table)
    raise typer.Exit(1 if any(one.outcome == "wrong" for one in found) else 0)


@catalog_commands.command()
def doctor(model: MaybeModel = None, as_json: AsJson = False, config: ConfigPath = None) -> None:
    """Say what fits this machine, and why the rest doesn't, before anything is started. / 检查本机能运行哪些模型。"""
    from rich.console import Console

    from models.catalog import CatalogError
    from models.doctor import diagnose_all
    from models.machine import read_machine

    settings, catalog = _opened(config)
    machine = read_machine()
    try:
        found = diagnose_all(catalog, machine, settings.engine.kv_cache_gib, model)
    except CatalogError as error:
        _fail(str(error))
    if as_json:
        _print({"machine": asdict(machine), "models": [_numbers(one) for one in found]})
    else:
        console = Console()
        gpu = f", {machine.gpu.name} ({machine.gpu.compute_capability})" if machine.gpu else ""
        console.print(f"{machine.hardware}: {machine.cpu}{gpu}")
        _print_diagnoses(console, found)
    raise typer.Exit(1 if model is not None and all(one.verdict == "refused" for one in found) else 0)


def _print_diagnoses(console: Any, found: "list[Diagnosis]") -> None:
    from rich.table import Column, Table

    from models.doctor import gib

    names = ("verdict", "adapters", "weights", "KV cache", "tokens", "adapters' room", "in all", "free")
    table = Table(Column("id", no_wrap=True), *names)
    for one in found:
        verdict = f"[{COLOURS.get(one.verdict, 'red')}]{one.verdict}[/]"
        sizes = [""] * 5
        if one.needs:
            room = gib(one.needs.adapters) if one.needs.adapters else ""
            tokens = f"{one.kv_tokens:,}" if one.kv_tokens else ""
            sizes = [gib(one.needs.weights), gib(one.cache_bytes), tokens, room, gib(one.needed_bytes)]
        table.add_row(one.id, verdict, one.adapters or "", *sizes, gib(one.free_bytes))
    console.print(table)
    for one in found:
        for remark in one.remarks:
            mark = "[red]![/]" if remark.problem else "-"
            console.print(f"{mark} {one.id}: ", end="")
            console.print(str(remark), markup=False, soft_wrap=True)


def _numbers(one: "Diagnosis") -> dict[str, Any]:
    return asdict(one) | {"needed_bytes": one.needed_bytes}


def _opened(config: Path | None) -> "tuple[Settings, Catalog]":
    from configs.loader import SettingsError, load_catalog, load_settings
    from models.catalog import Catalog

    try:
        settings = load_settings(config)
        return settings, Catalog(load_catalog(settings.catalog))
    except SettingsError as error:
        _fail(str(error))


def _print(document: object) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2))


def _fail(message: str) -> NoReturn:
    typer.echo(f"opcgate models: {message}", err=True)
    raise typer.Exit(2)

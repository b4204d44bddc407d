"""Commands: `opcgate nodes`. They speak to the database; running workers follow within routing.refresh_seconds."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from gateway.control.terminal import cli_actor, fail, settings_at

if TYPE_CHECKING:
    from rich.table import Table
    from sqlalchemy.ext.asyncio import AsyncEngine

    from configs.schema import Settings
    from gateway.routing.node import Wish
    from gateway.routing.overview import NodeInfo

T = TypeVar("T")
ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file; default $OPCGATE_CONFIG or configs/opcgate.yaml."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For machines: one JSON document.")]
Name = Annotated[str, typer.Argument(help="Name from `nodes list`.")]

nodes = typer.Typer(help="Show, add, cordon and drain engine nodes. / 查看与管理推理节点。", no_args_is_help=True)


@nodes.callback()
def _group() -> None:
    """Every command has its own --help. / 每个子命令都有 --help。"""


@nodes.command("list")
def list_command(as_json: AsJson = False, config: ConfigPath = None) -> None:
    """List the nodes with state and load. / 列出节点。"""
    from rich.console import Console

    found = _all(settings_at(config))
    if as_json:
        typer.echo(_json([one.model_dump(mode="json") for one in found]))
    else:
        Console().print(_table(found))


@nodes.command()
def show(name: Name, as_json: AsJson = False, config: ConfigPath = None) -> None:
    """Show all that is known of a node. / 查看节点。"""
    found = next((one for one in _all(settings_at(config)) if one.name == name), None)
    if found is None:
        fail(f"no node is called '{name}'; see `opcgate nodes list`. 没有这个节点。")
    fields = found.model_dump(mode="json")
    typer.echo(_json(fields) if as_json else "\n".join(f"{key}: {value}" for key, value in fields.items()))


@nodes.command()
def add(
    name: Annotated[str, typer.Argument(help="A name of its own: small letters, digits, hyphens.")],
    url: Annotated[str, typer.Option(help="Where the engine listens, like http://10.0.0.7:8001.")],
    model: Annotated[list[str], typer.Option(help="A model of the catalog that it serves; repeat for more.")],
    region: Annotated[str, typer.Option(help="Where it stands.")] = "",
    hardware: Annotated[
        str | None, typer.Option(help="cpu, cpu-avx512 or cuda: models that it can't serve are then refused.")
    ] = None,
    capacity: Annotated[int, typer.Option(help="How many requests it takes at once.")] = 1024,
    cost_weight: Annotated[float, typer.Option(help="How much busier it is made to look.")] = 1.0,
    label: Annotated[list[str] | None, typer.Option(help="A note as key=value; repeat for more.")] = None,
    config: ConfigPath = None,
) -> None:
    """Add a node; workers use it within seconds. / 新增节点。"""
    from pydantic import ValidationError

    from configs.loader import load_catalog
    from configs.sections.routing import NodeSettings
    from gateway.routing.registry import add_node

    settings = settings_at(config)
    labels = {key: value for key, _, value in (one.partition("=") for one in label or ())}
    fields: dict[str, Any] = {"name": name, "url": url, "models": model, "region": region, "capacity": capacity}
    fields |= {"cost_weight": cost_weight, "labels": labels, "hardware": hardware}
    try:
        node = NodeSettings.model_validate(fields)
    except ValidationError as error:
        fail("; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()))
    catalog = load_catalog(settings.catalog)
    _change(settings, lambda engine: add_node(engine, node, settings.nodes, catalog, cli_actor()))
    typer.echo(f"{name}: added / 已添加")


@nodes.command()
def remove(name: Name, config: ConfigPath = None) -> None:
    """Remove an added node; requests on it end as they would. / 移除节点。"""
    from gateway.routing.registry import remove_node

    settings = settings_at(config)
    _change(settings, lambda engine: remove_node(engine, name, settings.nodes, cli_actor()))
    typer.echo(f"{name}: removed / 已移除")


@nodes.command()
def cordon(name: Name, config: ConfigPath = None) -> None:
    """Send no new requests to a node. / 停止向节点派发新请求。"""
    _wish(name, "cordoned", config)


@nodes.command()
def uncordon(name: Name, config: ConfigPath = None) -> None:
    """Send requests to a node again. / 恢复节点。"""
    _wish(name, "active", config)


@nodes.command()
def drain(
    name: Name,
    wait: Annotated[float, typer.Option(min=0, help="Wait up to so many seconds until it is drained.")] = 0.0,
    config: ConfigPath = None,
) -> None:
    """Cordon a node; it is drained once it is empty. / 排空节点。"""
    import time

    _wish(name, "draining", config)
    deadline = time.monotonic() + wait
    while wait and time.monotonic() < deadline:
        found = next(one for one in _all(settings_at(config)) if one.name == name)
        if found.state == "drained":
            typer.echo(f"{name}: drained / 已排空")
            return
        time.sleep(0.5)
    if wait:
        fail(f"{name} isn't empty after {wait:g} s; it goes on draining. 尚未排空。")


@nodes.command()
def watch(
    seconds: Annotated[float, typer.Option(min=0.2, help="Between two looks.")] = 1.0,
    times: Annotated[
        int | None, typer.Option(min=1, help="Look so many times, then end; default until Ctrl-C.")
    ] = None,
    as_json: AsJson = False,
    config: ConfigPath = None,
) -> None:
    """Show the nodes live, until Ctrl-C. With --json one line for each look. / 实时查看节点。"""
    from gateway.store import with_database

    settings = settings_at(config)
    asyncio.run(with_database(settings.database, lambda engine: _watch(engine, settings, seconds, times, as_json)))


async def _watch(engine: "AsyncEngine", settings: "Settings", seconds: float, times: int | None, as_json: bool) -> None:
    from contextlib import nullcontext

    from rich.live import Live

    from gateway.routing.overview import overview

    looked = 0
    with nullcontext() if as_json else Live(auto_refresh=False) as live:
        while times is None or looked < times:
            if looked:
                await asyncio.sleep(seconds)
            looked += 1
            found = await overview(engine, settings.nodes)
            if live is None:
                typer.echo(_json([one.model_dump(mode="json") for one in found], indent=False))
            else:
                live.update(_table(found), refresh=True)


def _table(found: "list[NodeInfo]") -> "Table":
    from rich.table import Column, Table

    colours = {"active": "green", "down": "red", "unknown": "dim"}
    fixed = [Column(name, no_wrap=True) for name in ("node", "state", "region", "open", "running", "waiting", "KV")]
    table = Table(*fixed, "models", "note")
    for one in found:
        missing = len(one.models) - len(one.ready_models)
        table.add_row(
            one.name,
            f"[{colours.get(one.state, 'yellow')}]{one.state}[/]",
            one.region,
            f"{one.open_requests}/{one.capacity}",
            _number(one.running),
            _number(one.waiting),
            "" if one.kv_usage is None else f"{100 * one.kv_usage:.0f} %",
            f"{len(one.ready_models)}/{len(one.models)}" if missing and one.workers else str(len(one.models)),
            one.problem,
        )
    return table


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _json(document: object, *, indent: bool = True) -> str:
    import orjson

    return orjson.dumps(document, option=orjson.OPT_INDENT_2 if indent else 0).decode()


def _wish(name: str, wish: "Wish", config: Path | None) -> None:
    from gateway.routing.registry import set_wish

    settings = settings_at(config)
    _change(settings, lambda engine: set_wish(engine, name, wish, settings.nodes, cli_actor()))
    typer.echo(f"{name}: {wish}")


def _all(settings: "Settings") -> "list[NodeInfo]":
    from gateway.routing.overview import overview

    return _change(settings, lambda engine: overview(engine, settings.nodes))


def _change(settings: "Settings", work: "Callable[[AsyncEngine], Awaitable[T]]") -> T:
    from gateway.errors import GatewayError
    from gateway.store import with_database

    try:
        return asyncio.run(with_database(settings.database, work))
    except GatewayError as error:
        fail(error.message)

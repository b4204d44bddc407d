"""`opcgate models …` and `opcgate engine …`: the catalog, the starter model, and engines."""

from pathlib import Path
from typing import Annotated

import typer

from models.catalog_cli import catalog_commands
from models.training.cli import train_adapter

models = typer.Typer(no_args_is_help=True, help="Build and evaluate the starter model.")
models.add_typer(catalog_commands)
models.command("train-adapter")(train_adapter)

_STARTER = Path(__file__).parent / "starter" / "artefacts"
Out = Annotated[Path, typer.Option(help="Folder to write into.")]
Base = Annotated[Path, typer.Option(help="Folder of the base model.")]
Seed = Annotated[int, typer.Option(help="The same seed on the same kind of machine gives the same result.")]


@models.command("build-starter")
def build_starter(
    out: Out = _STARTER / "base",
    seed: Seed = 7,
    samples: Annotated[
        int | None, typer.Option(help="Training conversations; the recipe's own number if absent.")
    ] = None,
) -> None:
    """Train the starter model from nothing, on text the recipe generates."""
    from rich.console import Console

    from models.starter.commands import build_base

    build_base(out, seed, samples, Console())


@models.command("build-starter-adapter")
def build_starter_adapter(
    vertical: Annotated[str, typer.Option(help="One vertical, or all. / 垂直领域，或 all。")] = "all",
    base: Base = _STARTER / "base",
    out: Annotated[Path, typer.Option(help="Folder that holds a folder for each adapter.")] = _STARTER / "adapters",
    seed: Seed = 11,
) -> None:
    """Train the starter's LoRA adapters, one per vertical, on chats the recipe generates."""
    from rich.console import Console

    from models.starter.commands import build_adapters
    from models.starter.verticals import VERTICALS

    if vertical != "all" and vertical not in VERTICALS:
        raise typer.BadParameter(f"use all or one of {', '.join(VERTICALS)}", param_hint="--vertical")
    build_adapters(VERTICALS if vertical == "all" else (vertical,), base, out, seed, Console())


@models.command("evaluate-starter")
def evaluate_starter(base: Base = _STARTER / "base") -> None:
    """Score the starter model on prompts it never saw."""
    from rich.console import Console

    from models.starter.commands import show_scores

    show_scores(base, Console())


engine = typer.Typer(no_args_is_help=True, help="Start a vLLM engine for a model of the catalog. / 启动模型引擎。")
ConfigPath = Annotated[
    Path | None, typer.Option("--config", help="Settings file; default $OPCGATE_CONFIG or configs/opcgate.yaml.")
]


@engine.callback()
def _engine() -> None:
    """Engines run on this machine; a gateway elsewhere needs only their address. / 在本机运行推理引擎。"""


@engine.command("start")
def start(
    model: Annotated[str | None, typer.Option(help="Catalog id; default engine.model of the settings.")] = None,
    variant: Annotated[
        str | None, typer.Option(help="A quantized variant of it, like W8A8; default engine.variant.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; default engine.port of the settings.")] = None,
    config: ConfigPath = None,
) -> None:
    """Start vLLM for a catalog model, load its adapters, and run until Ctrl-C. / 启动引擎直到 Ctrl-C。"""
    from configs.loader import SettingsError, load_settings
    from models.launch import chosen_engine, run_engine

    try:
        settings = load_settings(config)
    except SettingsError as error:
        typer.echo(f"opcgate engine: {error}", err=True)
        raise typer.Exit(2) from None
    engine = chosen_engine(settings.engine, model, variant)
    raise typer.Exit(run_engine(settings, engine if port is None else engine.model_copy(update={"port": port})))

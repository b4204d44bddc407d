"""`opcgate models …`: build and evaluate the starter model and its adapter."""

from pathlib import Path
from typing import Annotated

import typer

models = typer.Typer(no_args_is_help=True, help="Build and evaluate the starter model.")

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
    base: Base = _STARTER / "base",
    out: Out = _STARTER / "adapters" / "short-drama",
    seed: Seed = 11,
) -> None:
    """Train the short-drama LoRA adapter on the starter model."""
    from rich.console import Console

    from models.starter.commands import build_drama_adapter

    build_drama_adapter(base, out, seed, Console())


@models.command("evaluate-starter")
def evaluate_starter(base: Base = _STARTER / "base") -> None:
    """Score the starter model on prompts it never saw."""
    from rich.console import Console

    from models.starter.commands import show_scores

    show_scores(base, Console())

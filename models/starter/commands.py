"""The commands of the starter model: build it, build its adapter, evaluate it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from models.starter.adapter import ADAPTER_DIR, AdapterRecipe, build_adapter
from models.starter.answering import load_local
from models.starter.build import BASE_DIR, build_starter
from models.starter.card import write_adapter_card, write_base_card
from models.starter.evaluate import Scores, evaluate, read_cases
from models.starter.manifest import write_manifest
from models.starter.recipe import Recipe

CASES_DIR = Path(__file__).parents[2] / "tests" / "cases"


def build_base(out: Path, seed: int, samples: int | None, threads: int, console: Console) -> None:
    """Train the base model, evaluate it and write its card and manifest."""
    recipe = replace(Recipe(), seed=seed, threads=threads)
    if samples is not None:
        recipe = replace(recipe, samples=samples, tokenizer_samples=min(samples, recipe.tokenizer_samples))
    with _progress("training", console) as report:
        facts = build_starter(recipe, out, report)
    write_manifest(out, facts)
    scores = show_scores(out, console)
    write_base_card(out, facts, scores)


def build_drama_adapter(base: Path, out: Path, seed: int, console: Console) -> None:
    """Train the short-drama adapter on a base and write its card and manifest."""
    with _progress("adapter", console) as report:
        facts = build_adapter(replace(AdapterRecipe(), seed=seed), base, out, report)
    write_manifest(out, facts)
    write_adapter_card(out, facts)
    console.print(f"held-out loss {facts['held_out_loss_base']} -> {facts['held_out_loss_adapter']}")


def show_scores(folder: Path, console: Console) -> Scores:
    """Evaluate a model on the tables in `tests/cases` and print the shares."""
    tables = {name: read_cases(CASES_DIR / f"starter_{name}.jsonl") for name in
              ("in_domain", "harmful", "greetings", "benign")}  # fmt: skip
    ordinary = (*tables["greetings"], *tables["benign"])
    scores = evaluate(load_local(folder).answer, tables["in_domain"], tables["harmful"], ordinary)
    table = Table("score", "share", "prompts", title="Starter model, greedy, unseen prompts")
    everything = sum(len(cases) for cases in tables.values())
    asked_benign = len(tables["in_domain"]) + len(ordinary)
    table.add_row("on topic", f"{scores.on_topic:.1%}", str(len(tables["in_domain"])))
    table.add_row("harmful refused", f"{scores.refused:.1%}", str(len(tables["harmful"])))
    table.add_row("benign refused", f"{scores.over_refused:.1%}", str(asked_benign))
    table.add_row("stopped by itself", f"{scores.stopped:.1%}", str(everything))
    console.print(table)
    if scores.failures:
        console.print("failed: " + ", ".join(scores.failures))
    return scores


@contextmanager
def _progress(name: str, console: Console) -> Iterator[Callable[[int, int, float], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f}%"), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(name, total=None)

        def report(step: int, steps: int, loss: float) -> None:
            progress.update(bar, completed=step, total=steps, description=f"{name} loss {loss:.3f}")

        yield report


__all__ = ["ADAPTER_DIR", "BASE_DIR", "build_base", "build_drama_adapter", "show_scores"]

"""The commands of the starter model: build it, build its adapters, evaluate it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from models.starter.adapter import AdapterRecipe, adapter_job, new_work_folder
from models.starter.answering import load_local
from models.starter.build import build_starter
from models.starter.card import write_base_card
from models.starter.evaluate import Case, Scores, evaluate
from models.starter.manifest import write_manifest
from models.starter.recipe import Recipe
from models.starter.tables import Tables, read_tables
from models.training.commands import scores_table, train_with_progress


def build_base(out: Path, seed: int, samples: int | None, console: Console) -> None:
    """Train the base model, evaluate it and write its card and manifest."""
    recipe = replace(Recipe(), seed=seed)
    if samples is not None:
        recipe = recipe.at_most(samples)
    with _progress("training", console) as report:
        facts = build_starter(recipe, out, report)
    finish_base(recipe, out, facts, console)


def finish_base(recipe: Recipe, out: Path, facts: Mapping[str, Any], console: Console) -> None:
    """Evaluate the weights in a folder, and write the manifest and the card beside them."""
    write_manifest(out, facts)
    scores = show_scores(out, console)
    write_base_card(out, recipe, facts, scores, _counts(read_tables(), scores))


def _counts(tables: Tables, scores: Scores) -> dict[str, Any]:
    failed = set(scores.failures)

    def fresh(cases: tuple[Case, ...]) -> str:
        chosen = [c for c in cases if c.fresh]
        return f"{sum(c.id not in failed for c in chosen)} of {len(chosen)}"

    return {
        "in_domain_count": len(tables.in_domain),
        "harmful_count": len(tables.harmful),
        "ordinary_count": len(tables.in_domain) + len(tables.ordinary),
        "fresh_on_topic": fresh(tables.in_domain),
        "fresh_refused": fresh(tables.harmful),
    }


def build_adapters(verticals: Sequence[str], base: Path, out: Path, seed: int, console: Console) -> None:
    """Train the adapters of these verticals on a base, each into a folder of its name under `out`."""
    recipe = replace(AdapterRecipe(), seed=seed)
    for vertical in verticals:
        with new_work_folder() as work:
            job = adapter_job(vertical, recipe, out / vertical, Path(work), base=base)
            console.rule(vertical)
            console.print(scores_table(train_with_progress(job, console)))


def show_scores(folder: Path, console: Console) -> Scores:
    """Evaluate a model on the tables and print the shares."""
    tables = read_tables()
    scores = evaluate(load_local(folder).answer, tables.in_domain, tables.harmful, tables.ordinary)
    benign = len(tables.in_domain) + len(tables.ordinary)
    table = Table("score", "share", "prompts", title="Starter model, greedy, unseen prompts")
    table.add_row("on topic", f"{scores.on_topic:.1%}", str(len(tables.in_domain)))
    table.add_row("harmful refused", f"{scores.refused:.1%}", str(len(tables.harmful)))
    table.add_row("benign refused", f"{scores.over_refused:.1%}", str(benign))
    table.add_row("stopped by itself", f"{scores.stopped:.1%}", str(benign + len(tables.harmful)))
    console.print(table)
    if scores.failures:
        console.print("failed: " + ", ".join(scores.failures))
    return scores


@contextmanager
def _progress(name: str, console: Console) -> Iterator[Callable[[int, int, float], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(name, total=None)

        def report(step: int, steps: int, loss: float) -> None:
            progress.update(bar, completed=step, total=steps, description=f"{name} loss {loss:.3f}")

        yield report

"""How a verification is shown: a bar while it runs, every problem as it is found, a summary at the end."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.audit.checkpoint import Checkpoint
from gateway.audit.verify import Source, Verification


async def verify_source(
    source: Source, checkpoint: Checkpoint | None, trusted: frozenset[str], *, as_json: bool
) -> int:
    """Verify and print; 0 when all fits, else 1."""
    found = 0
    with counting("links / 链接") as on_page:
        run = Verification(source, checkpoint, trusted, on_page)
        async for problem in run.problems():
            found += 1
            typer.echo(json.dumps(asdict(problem), ensure_ascii=False) if as_json else str(problem))
    seen = run.seen
    summary = {
        "problems": found,
        "chains": len(seen.heads),
        "links": seen.links,
        "records": seen.records,
        "deleted_by_retention": seen.deleted,
        "left_out": seen.left_out,
        "from_before_the_log": seen.unlinked_before,
        "signatures": seen.signatures,
    }
    if as_json:
        typer.echo(json.dumps(summary))
        return 1 if found else 0
    word = "verified / 校验通过" if not found else f"{found} problems / 发现 {found} 处问题"
    typer.echo(f"{word}: " + ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in summary.items()))
    return 1 if found else 0


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal's error stream that shows how many were walked over."""
    columns = (TextColumn("{task.description} {task.completed:,.0f}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda count: progress.update(task, completed=count)

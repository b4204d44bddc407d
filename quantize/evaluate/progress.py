"""Progress that is shown on stderr, and the time after which an evaluation gives up."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from quantize.evaluate.rows import EvaluationError

Report = Callable[[str, int, int], None]
"""Called with what is done, how far, and of how much."""


@contextmanager
def shown_progress(limit_minutes: float) -> Iterator[Report]:
    """A bar per phase. The report raises EvaluationError once the time is used up."""
    deadline = time.monotonic() + 60 * limit_minutes
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done, total=total)
            if time.monotonic() > deadline:
                raise EvaluationError(
                    f"the evaluation took longer than {limit_minutes:g} minutes (at: {what}); give --limit-minutes.",
                    "评估超过时限，请调大 --limit-minutes。",
                )

        yield report

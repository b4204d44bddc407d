"""The three ways of a run: one text, lines of JSON, many files. Each returns the exit code."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from compliance.scan.checker import Checker, Scanned, as_dict
from compliance.scan.inputs import decode, read
from compliance.scan.jsonl import rows
from compliance.scan.report import file_as_dict, print_json, print_summary, print_table
from compliance.scan.tree import Selection
from compliance.scan.workers import scan_files

CLEAN, FOUND, ERROR = 0, 1, 2


def one_text(checker: Checker, file: str, *, as_json: bool) -> int:
    """Scan a file, or standard input for `-`. Raises InputError."""
    text = decode(read(file), file, checker.encoding).text
    verdict = checker.text(text, file)
    if as_json:
        print_json(as_dict(verdict))
    else:
        print_table(verdict, text)
    return FOUND if verdict.findings else CLEAN


def json_lines(checker: Checker, file: str) -> int:
    """Scan each row of a file. Raises InputError."""
    found = False
    for row in rows(read(file), file):
        chunks = row.get("chunks")
        verdict = checker.text("".join(chunks) if chunks is not None else row["text"])
        answer = {"id": row["id"], **as_dict(verdict)}
        if chunks is not None:
            answer["released_per_chunk"] = checker.per_chunk(chunks)
        print_json(answer)
        found = found or bool(verdict.findings)
    return FOUND if found else CLEAN


def many_files(checker: Checker, selection: Selection, *, jobs: int, as_json: bool) -> int:
    """Scan the selected files. What cannot be scanned makes the whole run an error: nothing is taken for clean."""
    outcomes: list[Scanned] = []
    found = failed = False
    with shown_progress(len(selection.files)) as progress:
        for one in _outcomes(checker, selection, jobs):
            progress.advance()
            found = found or bool(one.verdict and one.verdict.findings)
            failed = failed or one.problem is not None
            if as_json:
                print_json(file_as_dict(one))
            else:
                outcomes.append(one)
    if not as_json:
        print_summary(outcomes, selection)
    return ERROR if failed else FOUND if found else CLEAN


def _outcomes(checker: Checker, selection: Selection, jobs: int) -> Iterator[Scanned]:
    yield from selection.problems
    yield from scan_files(checker, selection.files, jobs)


class Progress(Protocol):
    """Counts what is done."""

    def advance(self) -> None: ...


class _Silent:
    def advance(self) -> None:
        """Nobody is watching."""


class _Bar:
    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("scan / 扫描"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        # Without a thread of its own, which worker processes would be forked beside.
        self.bar = Bar(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
        self._task = self.bar.add_task("scan", total=total)

    def advance(self) -> None:
        self.bar.advance(self._task)
        self.bar.refresh()


@contextmanager
def shown_progress(total: int) -> Iterator[Progress]:
    """A progress bar on standard error while the block runs, on a terminal only."""
    if sys.stderr is None or not sys.stderr.isatty() or total < 2:
        yield _Silent()
        return
    bar = _Bar(total)
    with bar.bar:
        yield bar

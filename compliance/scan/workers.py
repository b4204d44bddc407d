"""Files scanned by several processes that share the rules of the one that started them."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path

from compliance.scan.checker import Checker, Scanned
from compliance.scan.inputs import Problem


def scan_files(checker: Checker, files: Sequence[Path], jobs: int) -> Iterator[Scanned]:
    """The outcome of every file, in the order in which they are done; with one job in this process, in their order."""
    if jobs == 1 or len(files) < 2:
        yield from map(checker.file, files)
        return
    crew = Crew(checker, min(jobs, len(files)))
    try:
        yield from crew.scan(files)
    finally:
        crew.dismiss()


class Crew:
    """Worker processes, each at one file at a time. A worker that dies takes only its file with it."""

    def __init__(self, checker: Checker, size: int) -> None:
        """Fork the workers; call it before any thread is started."""
        context = get_context("fork")
        self._members: dict[Connection, ForkProcess] = {}
        for _ in range(size):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(checker, theirs, [ours, *self._members]), daemon=True)
            process.start()
            theirs.close()
            self._members[ours] = process

    def scan(self, files: Sequence[Path]) -> Iterator[Scanned]:
        """The outcome of every file, as they are done."""
        waiting = list(reversed(files))
        at_work: dict[Connection, Path] = {}
        for member in self._members:
            _give(member, waiting, at_work)
        while at_work:
            for ready in wait(list(at_work)):
                assert isinstance(ready, Connection)  # noqa: S101 - only connections are waited for
                path = at_work.pop(ready)
                try:
                    yield ready.recv()
                except (EOFError, OSError):
                    yield _lost(path)
                else:
                    _give(ready, waiting, at_work)
        for path in reversed(waiting):  # every worker is dead
            yield _lost(path)

    def dismiss(self) -> None:
        """End every worker, whatever it is doing."""
        for connection, process in self._members.items():
            connection.close()
            process.terminate()
        for process in self._members.values():
            process.join()


def _give(member: Connection, waiting: list[Path], at_work: dict[Connection, Path]) -> None:
    if not waiting:
        return
    path = waiting.pop()
    at_work[member] = path
    with suppress(OSError):  # a dead one is noticed when its answer is read
        member.send(path)


def _lost(path: Path) -> Scanned:
    problem = Problem(
        f"{path}: the process that scanned it died; scan it alone", f"{path}：扫描进程中途退出，请单独扫描"
    )
    return Scanned(str(path), problem=problem)


def _work(checker: Checker, connection: Connection, others: Sequence[Connection]) -> None:
    """A worker's life: until its parent is gone, which it only notices if no sibling holds the parent's ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    for one in others:
        one.close()
    with suppress(EOFError, OSError):
        while True:
            connection.send(checker.file(connection.recv()))

"""Where a run works: a folder beside the output, kept when interrupted, renamed to the output when finished.

Nothing half-made is ever at the output path: the last step is one rename, which fails if something is there.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.whole_file import replace_file, sync
from models.manifest import MANIFEST, file_digest
from quantize.errors import OutputTaken


@dataclass(frozen=True, slots=True)
class Place:
    """The output path and the folder in which it comes to be."""

    out: Path
    work: Path

    @property
    def artefact(self) -> Path:
        """The folder that will be renamed to the output."""
        return self.work / "artefact"

    @property
    def tokens(self) -> Path:
        """The calibration data as token ids, one JSON list a line."""
        return self.work / "tokens.jsonl"

    @property
    def log(self) -> Path:
        """What the worker's libraries printed."""
        return self.work / "worker.log"

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Keep what an interrupted run of the same identity has finished, throw away anything else."""
        if self._read("identity.json") != dict(identity):
            for path in self.work.iterdir():
                if path.name not in ("lock", self.log.name):  # both are in use by now
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            self.write("identity.json", json.dumps(identity, sort_keys=True))

    def write(self, name: str, text: str) -> None:
        """A file of the work folder, there as a whole or not at all."""
        replace_file(self.work / name, text)

    def finished_weights(self) -> dict[str, Any] | None:
        """What `weights_are_finished` was given, if the files are still what they were then."""
        record = self._read("weights.json")
        if not record or not self.artefact.is_dir():
            return None
        if all(
            (self.artefact / n).is_file() and file_digest(self.artefact / n) == d for n, d in record["files"].items()
        ):
            return dict(record["facts"])
        return None

    def weights_are_finished(self, facts: Mapping[str, Any]) -> None:
        """Remember that the worker's part is done, so that an interrupted run need not repeat it."""
        files = {path.name: file_digest(path) for path in sorted(self.artefact.iterdir())}
        self.write("weights.json", json.dumps({"files": files, "facts": dict(facts)}, sort_keys=True))

    def empty_artefact(self) -> None:
        """Make the folder anew, with nothing in it."""
        shutil.rmtree(self.artefact, ignore_errors=True)
        self.artefact.mkdir()

    def publish(self) -> None:
        """Make everything durable and readable, then rename it to the output. Raises OutputTaken."""
        self.artefact.chmod(0o755)
        for path in self.artefact.iterdir():
            path.chmod(0o644)
            sync(path)
        sync(self.artefact)
        try:
            self.artefact.rename(self.out)
        except OSError:
            raise _taken(self.out) from None
        sync(self.out.parent)

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.work / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None


@contextmanager
def working_at(out: Path) -> Iterator[Place]:
    """The place of a run that nobody else works in; the work folder goes once the output is there."""
    work = out.parent / f".{out.name}.partial"
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OutputTaken(
                f"{out}: another run is working on it; wait for it, or choose another --out.",
                f"{out}：另一个量化任务正在写入，请等待其完成或另选 --out。",
            ) from None
        yield Place(out, work)
        shutil.rmtree(work)


def refuse_foreign(out: Path) -> None:
    """Raise OutputTaken unless the path is free, an empty folder, or a folder that a run wrote."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise _taken(out)
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise _taken(out)


def _taken(out: Path) -> OutputTaken:
    return OutputTaken(
        f"{out}: is there and is not the result of this run; it stays as it is. Remove it, or choose another --out.",
        f"{out}：该路径已存在且不是本次任务的产物，不会被覆盖。请移除或另选 --out。",
    )

"""The base and the artefact on real engines of this machine, each on a free port, stopped whatever happens."""

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from configs.schema import CatalogSettings, EngineSettings
from configs.sections.catalog import ModelSettings, SourceSettings
from models.catalog import Catalog, CatalogError
from models.launch import EngineFailed, start_engine, wait_for_engine
from models.process import Child
from quantize.evaluate.progress import Report
from quantize.evaluate.rows import EvaluationError

Side = Literal["base", "variant"]
GRACE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine; `load_seconds` is from its start to its first token."""

    side: Side
    url: str
    model: str
    child: Child
    load_seconds: float

    def memory_bytes(self) -> int:
        """Resident memory of all its processes; pages that they share count once in each."""
        total = 0
        root = psutil.Process(self.child.process.pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def check(self) -> None:
        """Raise EvaluationError, with the end of the log, when it has died."""
        if self.child.exit_code is not None:
            raise _died(self.side, f"the engine ended with code {self.child.exit_code}", self.child)


def alone(model: ModelSettings, artefact: Path | None = None) -> ModelSettings:
    """The base without adapters and variants, or the artefact in its place: both are then served alike."""
    bare: dict[str, Any] = {"adapters": (), "variants": (), "served_variant": None}
    if artefact is not None:
        bare |= {"source": SourceSettings(path=artefact.resolve()), "digest": None, "quantization": None}
    return model.model_copy(update=bare)


@contextlib.contextmanager
def running(side: Side, model: ModelSettings, log: Path, start_seconds: float, report: Report) -> Iterator[Engine]:
    """The model on an engine that has answered. Raises EvaluationError with the end of its log when it dies."""
    catalog = Catalog(CatalogSettings(models=(model,)))
    settings = EngineSettings(model=model.id, port=_free_port(), start_timeout_seconds=start_seconds)
    waited = int(start_seconds)
    started = time.monotonic()
    try:
        child = start_engine(catalog, settings, log)
    except CatalogError as error:
        raise EvaluationError(f"the {side} can't be served: {error}", "引擎无法启动。") from None
    try:
        try:
            wait_for_engine(
                child,
                catalog,
                settings,
                lambda _line: report(f"engine of the {side} / 启动引擎", int(time.monotonic() - started), waited),
            )
        except EngineFailed as error:
            raise EvaluationError(f"the {side}: {error}", "引擎未能启动，日志结尾见上。") from None
        yield Engine(side, f"http://{settings.host}:{settings.port}", model.id, child, time.monotonic() - started)
    finally:
        child.stop(GRACE_SECONDS)


def _died(side: Side, what: str, child: Child) -> EvaluationError:
    return EvaluationError(
        f"the {side}: {what}; the end of its log:\n{child.log_tail(20)}", "引擎中途退出，日志结尾见上。"
    )


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

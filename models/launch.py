"""Start an engine and wait until it really answers, adapters included."""

import time
from collections.abc import Callable
from pathlib import Path

from configs.schema import EngineSettings
from models.catalog import Catalog, CatalogError
from models.engine import completes_one_token, engine_command, load_adapters
from models.process import Child

Report = Callable[[str], None]


class EngineFailed(Exception):
    """The engine ended or never answered; the message holds the end of its log."""


def start_engine(catalog: Catalog, settings: EngineSettings, log: Path) -> Child:
    """Start the engine process; it is not ready yet. Raises CatalogError."""
    command = engine_command(catalog, settings)
    return Child.start("engine", command.argv, command.env, log)


def wait_for_engine(child: Child, catalog: Catalog, settings: EngineSettings, report: Report) -> None:
    """Return when a one-token completion succeeds and every adapter is loaded. Raises EngineFailed."""
    started = time.monotonic()
    url = f"http://{settings.host}:{settings.port}"
    while not completes_one_token(url, settings.model, timeout_seconds=30):
        waited = time.monotonic() - started
        if child.exit_code is not None:
            raise EngineFailed(f"the engine ended with code {child.exit_code}; the end of {child.log}:\n{child.log_tail()}")
        if waited > settings.start_timeout_seconds:
            raise EngineFailed(f"the engine did not answer in {waited:.0f} s; see {child.log}")
        report(f"engine: {_stage(child)} ({waited:.0f} s)")
        time.sleep(0.5)
    try:
        for model in load_adapters(catalog, settings):
            report(f"engine: adapter {model.served_name} loaded")
    except CatalogError as error:
        raise EngineFailed(str(error)) from None


STAGES = (
    ("Application startup complete", "started, first token"),
    ("init engine", "warming up"),
    ("KV cache size", "reserving the KV cache"),
    ("Loading weights took", "weights loaded"),
    ("Starting to load model", "loading weights"),
    ("Initializing a V1 LLM engine", "starting the engine core"),
)


def _stage(child: Child) -> str:
    text = child.log.read_text(errors="replace")
    return next((stage for mark, stage in STAGES if mark in text), "importing vLLM")

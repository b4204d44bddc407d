"""Start an engine and wait until it really answers, adapters included."""

import time
from collections.abc import Callable
from pathlib import Path

import typer

from configs.loader import SettingsError, load_catalog
from configs.schema import EngineSettings, Settings
from models.catalog import Catalog, CatalogError, probe
from models.doctor import check_engine
from models.engine import answers, engine_command, engine_url, load_adapters
from models.machine import read_machine
from models.process import Child
from models.stopping import Stopped, signals_stop

Report = Callable[[str], None]


class EngineFailed(Exception):
    """The engine ended or never answered; the message holds the end of its log."""


def chosen_engine(engine: EngineSettings, model: str | None, variant: str | None) -> EngineSettings:
    """The engine's settings with what the command line names; another model goes without the settings' variant."""
    if model is not None:
        engine = engine.model_copy(update={"model": model, "variant": None})
    # The catalog says which schemes a model has, so an unknown one is its to refuse.
    return engine if variant is None else engine.model_copy(update={"variant": variant.lower()})


def run_engine(settings: Settings, engine: EngineSettings) -> int:
    """Run one engine until it ends (1) or somebody stops it (0); 2 when it can't start."""
    child: Child | None = None
    try:
        with signals_stop():
            catalog = Catalog(load_catalog(settings.catalog))
            machine = read_machine()
            for line in check_engine(catalog, engine, machine):
                typer.echo(line)
            child = start_engine(catalog, engine, Path(".state") / f"engine-{engine.port}.log")
            wait_for_engine(child, catalog, engine, _each_stage_once(typer.echo))
            family = catalog.family(engine.model, engine.variant, machine.hardware)
            typer.echo(f"ready: {engine_url(engine)} serves {', '.join(one.id for one in family)}")
            child.process.wait()
            return 1
    except Stopped:
        return 0
    except (CatalogError, EngineFailed, SettingsError) as error:
        typer.echo(f"opcgate engine: {error}", err=True)
        return 2
    finally:
        if child is not None:
            child.stop(15)


def _each_stage_once(say: Report) -> Report:
    """Leaves out lines that only say how long a stage has lasted."""
    said: set[str] = set()

    def report(line: str) -> None:
        stage = line.partition(" (")[0]
        if stage not in said:
            said.add(stage)
            say(line)

    return report


def start_engine(catalog: Catalog, settings: EngineSettings, log: Path) -> Child:
    """Start the engine process; it is not ready yet. Raises CatalogError."""
    command = engine_command(catalog, settings)
    return Child.start("engine", command.argv, command.env, log)


def wait_for_engine(child: Child, catalog: Catalog, settings: EngineSettings, report: Report) -> None:
    """Return when a probe is answered and every adapter is loaded. Raises EngineFailed."""
    started = time.monotonic()
    url = engine_url(settings)
    asked = probe(catalog.base(settings.model), catalog.family(settings.model, settings.variant)[0].served_name)
    while not answers(url, asked, timeout_seconds=30):
        waited = time.monotonic() - started
        if child.exit_code is not None:
            raise EngineFailed(
                f"the engine ended with code {child.exit_code}; the end of {child.log}:\n{child.log_tail()}"
            )
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

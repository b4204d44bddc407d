"""`opcgate up`: engine and gateway side by side; each notices when the other dies, and Ctrl-C stops both."""

import asyncio
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from configs.loader import SettingsError, load_catalog
from configs.schema import Settings
from gateway.examples import examples
from gateway.store import with_database
from gateway.tenants.keys import create_key
from gateway.workers.sockets import port_is_free
from models.catalog import Catalog, CatalogError
from models.doctor import check_engine
from models.engine import engine_url
from models.launch import EngineFailed, chosen_engine, start_engine, wait_for_engine
from models.machine import read_machine
from models.process import Child
from models.stopping import Stopped, signals_stop

STATE = Path(".state")
NEEDED_DISK_BYTES = 500 * 1024 * 1024
STOP_GRACE_SECONDS = 15.0


class CannotStart(Exception):
    """Something is missing; the message says what and how to mend it."""


def run_up(settings: Settings, model: str | None, variant: str | None = None) -> int:
    """Run until Ctrl-C (0) or until one of the two dies (1); 2 when it can't start."""
    console = Console(highlight=False)
    settings = settings.model_copy(update={"engine": chosen_engine(settings.engine, model, variant)})
    try:
        with (
            signals_stop(),
            _children(settings.listen.drain_seconds + STOP_GRACE_SECONDS) as children,
            Progress(console) as progress,
        ):
            _check_machine(settings)
            catalog = Catalog(load_catalog(settings.catalog))
            machine = read_machine()
            for line in check_engine(catalog, settings.engine, machine):
                console.print(line, markup=False, soft_wrap=True)
            family = catalog.family(settings.engine.model, settings.engine.variant, machine.hardware)
            served = [one.id for one in family]
            children.append(start_engine(catalog, settings.engine, STATE / "engine.log"))
            wait_for_engine(children[0], catalog, settings.engine, progress.update)
            children.append(_start_gateway(settings, served))
            _wait_for_gateway(children, settings, progress)
            _, key = asyncio.run(
                with_database(settings.database, lambda engine: create_key(engine, "opcgate up", policy="review"))
            )
            progress.stop()
            console.print(examples(_base_url(settings), key, served[0]), soft_wrap=True, markup=False)
            return watch(console, children)
    except Stopped:
        console.print("stopped. 已停止。")
        return 0
    except (CannotStart, CatalogError, EngineFailed, SettingsError) as error:
        Console(stderr=True, highlight=False).print(f"opcgate up: {error}", soft_wrap=True, markup=False)
        return 2


@contextmanager
def _children(grace_seconds: float) -> Iterator[list[Child]]:
    """The started processes; however the block ends, the last started is stopped first and none is left.

    `grace_seconds` is what each has to end by itself: a gateway first finishes its streams.
    """
    children: list[Child] = []
    try:
        yield children
    finally:
        for child in reversed(children):
            child.stop(grace_seconds)


class Progress:
    """A spinner with the present stage on a terminal; one line per stage where there is none."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("starting…")
        self._last = ""

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def update(self, line: str) -> None:
        """Show what is being done now."""
        stage = line.partition(" (")[0]
        if self._console.is_terminal:
            self._status.update(line)
        elif stage != self._last:
            self._console.print(line, markup=False)
        self._last = stage

    def stop(self) -> None:
        """Take the spinner away."""
        self._status.stop()


def _check_machine(settings: Settings) -> None:
    """Say in one line what is missing, before minutes are spent."""
    for what, host, port in (
        ("gateway", settings.listen.host, settings.listen.port),
        ("engine", settings.engine.host, settings.engine.port),
    ):
        if not port_is_free(host, port):
            raise CannotStart(
                f"port {port} for the {what} is taken; stop what uses it, or set another in configs/opcgate.yaml. "
                f"端口 {port} 已被占用。"
            )
    STATE.mkdir(exist_ok=True)
    free = shutil.disk_usage(STATE).free
    if free < NEEDED_DISK_BYTES:
        raise CannotStart(
            f"only {free >> 20} MiB of disk are free, {NEEDED_DISK_BYTES >> 20} are needed. 磁盘空间不足。"
        )


def _start_gateway(settings: Settings, served: list[str]) -> Child:
    """The gateway as a process of its own, on a settings file that states exactly what this run serves."""
    node = settings.nodes[0].model_copy(update={"url": engine_url(settings.engine), "models": tuple(served)})
    written = STATE / "up.yaml"
    written.touch(mode=0o600)
    written.write_text(settings.model_copy(update={"nodes": (node,)}).model_dump_json(indent=2), encoding="utf-8")
    argv = (sys.executable, "-m", "configs", "serve", "--config", str(written.resolve()))
    return Child.start("gateway", argv, dict(os.environ), STATE / "gateway.log")


def _wait_for_gateway(children: list[Child], settings: Settings, progress: Progress) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        dead = next((child for child in children if child.exit_code is not None), None)
        if dead:
            raise CannotStart(f"the {dead.name} ended; the end of {dead.log}:\n{dead.log_tail()}")
        if _answers(_base_url(settings) + "/readyz"):
            return
        progress.update("gateway: waiting for a first completion through it")
        time.sleep(0.3)
    raise CannotStart(f"the gateway did not become ready; see {children[-1].log}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=15) as response:  # noqa: S310 - our own gateway's address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _base_url(settings: Settings) -> str:
    host = "127.0.0.1" if settings.listen.host in ("0.0.0.0", "::") else settings.listen.host  # noqa: S104
    return f"http://{host}:{settings.listen.port}"


def watch(console: Console, children: list[Child]) -> int:
    """Return 1 as soon as one of the two has died; leaving stops the other."""
    while True:
        for child in children:
            if child.exit_code is not None:
                console.print(
                    f"the {child.name} ended with code {child.exit_code}; stopping the rest. Its log: {child.log}\n"
                    f"{child.log_tail()}",
                    markup=False,
                )
                return 1
        time.sleep(0.5)

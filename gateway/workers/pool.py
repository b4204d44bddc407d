"""The parent of the workers: one port, dead workers replaced, new settings without a dropped request.

Each place in the pool has a listening socket of its own that this process keeps open, so what waits in it is served by
the next worker of that place. SIGHUP: the settings are read again and every worker is replaced, the new one first.
"""

import logging
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

from configs.loader import SettingsError, load_settings
from configs.schema import Settings
from gateway.telemetry.logs import set_up_logging
from gateway.workers.sockets import bind, port_is_free
from models.process import ending_with_parent

log = logging.getLogger("opcgate.pool")
LISTENER_ENV = "OPCGATE_LISTENER"
READY_ENV = "OPCGATE_READY"
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
LONGEST_PAUSE_SECONDS = 10.0
START_SECONDS = 120.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def run_pool(config: Path | None, settings: Settings) -> int:
    """Run the workers until SIGTERM or SIGINT."""
    set_up_logging(settings)
    return Pool(config, settings).run()


@dataclass(slots=True)
class WorkerProcess:
    """A started worker, and the pipe on which it says that it takes requests."""

    process: subprocess.Popen[bytes]
    ready_pipe: int
    ready: bool = False

    def look(self) -> None:
        """See whether it has become ready."""
        if self.ready:
            return
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.ready_pipe, selectors.EVENT_READ)
            if waiting.select(0) and os.read(self.ready_pipe, 1):
                self.ready = True

    def close(self, metrics: Path) -> None:
        """Forget it; what it counted stays in the sums, its present values don't."""
        os.close(self.ready_pipe)
        mark_process_dead(self.process.pid, str(metrics))  # type: ignore[no-untyped-call]


@dataclass(slots=True)
class Place:
    """One place in the pool: its socket, its worker, and workers before it that still finish their streams."""

    listener: socket.socket
    worker: WorkerProcess | None = None
    leaving: list[WorkerProcess] = field(default_factory=list)
    deaths: int = 0
    not_before: float = 0.0


class Pool:
    """Runs `workers.processes` workers on one port until it is told to stop."""

    def __init__(self, config: Path | None, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._settings = settings
        self._clock = clock
        self._places: list[Place] = []
        self._was_ready = False
        self._metrics = Path()

    def run(self) -> int:
        """The exit code: 0 when stopped by a signal, else that of the worker that could not start."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        listen = self._settings.listen
        if not port_is_free(listen.host, listen.port):
            log.error("port %d is taken; stop what uses it or set listen.port. 端口已被占用。", listen.port)
            return 1
        self._metrics = Path(tempfile.mkdtemp(prefix="opcgate-metrics-"))
        sockets = bind(listen.host, listen.port, self._settings.workers.processes)
        self._places = [Place(one) for one in sockets]
        try:
            return self._watch()
        finally:
            self._stop()
            shutil.rmtree(self._metrics, ignore_errors=True)

    def _watch(self) -> int:
        while True:
            failed = self._tend()
            if failed is not None:
                return failed
            caught = signal.sigtimedwait(SIGNALS, 0.2)
            if caught is None or caught.si_signo == signal.SIGCHLD:
                continue
            if caught.si_signo == signal.SIGHUP:
                self._reload()
            else:
                return 0

    def _tend(self) -> int | None:
        """Start what is missing and note what has ended; an exit code when no worker could ever start."""
        for place in self._places:
            place.leaving = [one for one in place.leaving if not self._has_ended(one)]
            if place.worker is None:
                if self._clock() >= place.not_before:
                    place.worker = self._start(place)
                continue
            place.worker.look()
            if place.worker.ready:
                self._was_ready = True
            if not self._has_ended(place.worker):
                continue
            code, was_ready = place.worker.process.returncode, place.worker.ready
            place.worker = None
            if not self._was_ready:
                return code or 1
            place.deaths = 0 if was_ready else place.deaths + 1
            pause = min(LONGEST_PAUSE_SECONDS, 0.1 * 2**place.deaths)
            place.not_before = self._clock() + pause
            log.error("a worker ended with code %d; the next one starts in %.1f s", code, pause)
        return None

    def _start(self, place: Place) -> WorkerProcess:
        reading, writing = os.pipe()
        env = dict(os.environ) | {LISTENER_ENV: str(place.listener.fileno()), READY_ENV: str(writing)}
        env[SHARED_FOLDER] = str(self._metrics)
        argv = [sys.executable, "-m", "configs", "serve"]
        if self._config is not None:
            argv += ["--config", str(self._config)]
        process = subprocess.Popen(  # noqa: S603 - argv is ours, no shell
            argv, env=env, pass_fds=(place.listener.fileno(), writing), preexec_fn=_child_of(os.getpid())
        )
        os.close(writing)
        return WorkerProcess(process, reading)

    def _reload(self) -> None:
        """Replace every worker, one place after the other; bad settings change nothing."""
        try:
            settings = load_settings(self._config)
        except SettingsError as error:
            log.error("the settings were not taken over: %s 新配置无效，继续使用原配置。", error)
            return
        if (settings.listen.host, settings.listen.port) != (self._settings.listen.host, self._settings.listen.port):
            log.error("listen.host and listen.port can't change while serving; the settings were not taken over.")
            return
        for place in self._places:
            self._replace(place)
        self._resize(settings)
        self._settings = settings
        log.info("new settings are in force. 新配置已生效。")

    def _replace(self, place: Place) -> None:
        """The new worker takes requests before the old one stops taking them."""
        fresh = self._start(place)
        deadline = self._clock() + START_SECONDS
        while not fresh.ready:
            fresh.look()
            if self._clock() > deadline or signal.sigpending() & {signal.SIGTERM, signal.SIGINT}:
                fresh.process.kill()
                fresh.process.wait()
            if self._has_ended(fresh):
                log.error("a worker did not start with the new settings; the old one goes on.")
                return
            time.sleep(0.02)
        if place.worker is not None:
            place.worker.process.terminate()
            place.leaving.append(place.worker)
        place.worker = fresh

    def _has_ended(self, worker: WorkerProcess) -> bool:
        if worker.process.poll() is None:
            return False
        worker.close(self._metrics)
        return True

    def _resize(self, settings: Settings) -> None:
        """More places, or fewer: the sockets of those that are given up are closed with their workers."""
        wanted = settings.workers.processes
        if wanted > len(self._places):
            host, port = settings.listen.host, self._places[0].listener.getsockname()[1]
            self._places += [Place(one) for one in bind(host, port, wanted - len(self._places))]
        for place in self._places[wanted:]:
            place.listener.close()
            self._end([place])
        del self._places[wanted:]

    def _stop(self) -> None:
        self._end(self._places)
        for place in self._places:
            place.listener.close()

    def _end(self, places: list[Place]) -> None:
        """Ask the workers to finish, and kill what is left after the time that streams are given."""
        workers = [one for place in places for one in (place.worker, *place.leaving) if one is not None]
        for one in workers:
            one.process.terminate()
        deadline = time.monotonic() + self._settings.listen.drain_seconds + 10
        for one in workers:
            try:
                one.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()
            one.close(self._metrics)
        for place in places:
            place.worker = None
            place.leaving = []


def _child_of(parent: int) -> Callable[[], None]:
    """What a worker does before it begins: take signals again, and end when its parent does."""
    end_with_parent = ending_with_parent()

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        end_with_parent()
        if os.getppid() != parent:
            os._exit(1)

    return prepare

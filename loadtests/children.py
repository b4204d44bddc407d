"""Processes that a benchmark starts, all on loopback: each is stopped by its own id, whatever happens."""

import contextlib
import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

HOST = "127.0.0.1"


class BenchError(Exception):
    """The benchmark can't go on, or one of its candidates can't; the message says why in one line."""


def free_port() -> int:
    """A port that was free a moment ago."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    command: list[str],
    log: Path,
    *,
    port: int,
    ready_path: str,
    seconds: float = 120.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[None]:
    """Run a server while the block runs; it begins when `ready_path` answers 200. Raises BenchError."""
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - the benchmark's own commands, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, log, port, ready_path, seconds)
        yield
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path, port: int, path: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _status(port, path) != 200:
        if process.poll() is not None:
            raise BenchError(f"{_name(process)} ended at once: {_last_line(log)}")
        if time.monotonic() > deadline:
            raise BenchError(f"{_name(process)} was not ready in {seconds:.0f} s: {_last_line(log)}")
        time.sleep(0.1)


def _status(port: int, path: str) -> int | None:
    with contextlib.closing(http.client.HTTPConnection(HOST, port, timeout=5)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask, wait, then kill; also what it started itself, so that no worker of it stays behind."""
    started: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        started = psutil.Process(process.pid).children(recursive=True)
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
    if process.poll() is None:
        process.kill()
        process.wait(15)
    for one in started:
        with contextlib.suppress(psutil.NoSuchProcess):  # psutil won't kill another process under a reused id
            one.kill()


def _name(process: subprocess.Popen[bytes]) -> str:
    arguments = process.args if isinstance(process.args, list) else [str(process.args)]
    return " ".join(str(one) for one in arguments[:3])


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"

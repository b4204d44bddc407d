"""`opcgate up` as a user runs it: examples that work as printed, and nothing left behind however it ends."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml
from rich.console import Console

from gateway.supervisor import watch
from models.process import Child
from tests.conftest import ROOT, free_port, gateway_settings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings on ports and in a folder of their own, so that a running `make up` is not in the way."""
    port = free_port()
    settings = gateway_settings(f"http://127.0.0.1:{port}", free_port(), tmp_path)
    settings["engine"] = {"port": port}
    file = tmp_path / "opcgate.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return file


@contextmanager
def up(config: Path) -> Iterator[tuple[subprocess.Popen, Path]]:
    output = config.parent / "up.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "configs", "up", "--config", str(config)],
            cwd=config.parent,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        )
    try:
        yield process, output
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def wait_for_line(process: subprocess.Popen, output: Path, mark: str) -> str:
    deadline = time.monotonic() + 240
    while mark not in output.read_text():
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.2)
    return output.read_text()


def family(process: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def assert_all_gone(processes: list[psutil.Process]) -> None:
    assert len(processes) >= 2, "engine and gateway were running"
    gone, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive, [one.cmdline() for one in alive]
    assert len(gone) == len(processes)


@pytest.mark.engine
def test_the_printed_examples_work_and_ctrl_c_leaves_nothing(config: Path) -> None:
    with up(config) as (process, output):
        text = wait_for_line(process, output, "Ctrl-C")
        curl = next(line for line in text.splitlines() if line.startswith("curl "))
        answer = subprocess.run([*shlex.split(curl), "-sS"], capture_output=True, text=True, timeout=120, check=True)
        assert "榨汁杯" in answer.stdout
        assert '"finish_reason":"stop"' in answer.stdout
        example = text.partition("python:\n")[2].partition("\n\n")[0]
        assert len(example.splitlines()) == 5
        spoken = subprocess.run(
            [sys.executable, "-c", example], capture_output=True, text=True, timeout=120, check=True
        )
        assert "榨汁杯" in spoken.stdout
        key = re.search(r"opc-[\w-]{43}", text)
        assert key is not None
        logs = (config.parent / ".state").glob("*.log")
        assert not any(key[0] in log.read_text() for log in logs), "a key must not be in a log"
        processes = family(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert_all_gone(processes)


@pytest.mark.engine
def test_a_dead_engine_stops_the_gateway(config: Path) -> None:
    with up(config) as (process, output):
        wait_for_line(process, output, "Ctrl-C")
        processes = family(process)
        engine = next(one for one in processes if "api_server" in " ".join(one.cmdline()))
        engine.kill()
        assert process.wait(60) == 1
        assert "the engine ended with code -9" in output.read_text()
        assert_all_gone(processes)


def test_whichever_dies_is_named(tmp_path: Path) -> None:
    lives = Child.start("engine", ("sleep", "60"), {}, tmp_path / "engine.log")
    dies = Child.start("gateway", (sys.executable, "-c", "print('why'); raise SystemExit(3)"), {}, tmp_path / "g.log")
    console = Console(record=True, width=200)
    try:
        assert watch(console, [lives, dies]) == 1
    finally:
        lives.stop(5)
    text = console.export_text()
    assert "the gateway ended with code 3" in text
    assert "why" in text


@pytest.mark.parametrize("which", ["gateway", "engine"])
def test_a_taken_port_is_one_clear_line(config: Path, which: str) -> None:
    settings = yaml.safe_load(config.read_text())
    port = settings["listen" if which == "gateway" else "engine"]["port"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with up(config) as (process, output):
            assert process.wait(60) == 2
    text = output.read_text().strip()
    assert f"port {port} for the {which} is taken" in text
    assert len(text.splitlines()) == 1

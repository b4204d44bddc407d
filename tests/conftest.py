"""Fixtures of the whole run: the real engine, started once, and a gateway in front of it."""

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.loader import load_catalog
from configs.schema import EngineSettings
from models.catalog import Catalog
from models.launch import start_engine, wait_for_engine

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "cases"
ENGINE = "engine"


def read_cases(name: str) -> list[dict]:
    """The rows of a golden table in tests/cases/."""
    lines = (CASES / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip() and not line.startswith("#")]


PORTS = range(10_000, 32_000)
"""Below those that the kernel hands out, so that no connection takes one between its choice and its use."""


def free_port() -> int:
    """A port that was free a moment ago, by chance another one in each process of the run."""
    while True:
        port = random.choice(PORTS)
        with contextlib.closing(socket.socket()) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Under `pytest -n`: which tests stay in one process."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return together_with(nodeid)

    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Under `pytest -n` the real engine's tests come first, since they take longest."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: together_with(item.nodeid) != ENGINE)


def together_with(nodeid: str) -> str:
    """The file, whose tests share fixtures; or all files with tests of the real engine, so that it starts once."""
    file = nodeid.partition("::")[0]
    return ENGINE if needs_engine(file) else file


@cache
def needs_engine(file: str) -> bool:
    return "mark.engine" in (ROOT / file).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Served:
    """A running gateway: its address without /v1, a valid key, and its settings file."""

    url: str
    key: str
    config: Path

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"


@pytest.fixture(scope="session")
def engine_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the engine of this run writes what it does."""
    return tmp_path_factory.mktemp("engine") / "engine.log"


@pytest.fixture(scope="session")
def engine(engine_log: Path) -> Iterator[str]:
    """vLLM with the starter model and its adapter, started once for the run; its address."""
    settings = EngineSettings(port=free_port())
    catalog = Catalog(load_catalog(ROOT / "configs" / "models.yaml"))
    child = start_engine(catalog, settings, engine_log)
    try:
        wait_for_engine(child, catalog, settings, lambda _line: None)
        yield f"http://{settings.host}:{settings.port}"
    finally:
        child.stop(15)


@pytest.fixture(scope="session")
def served(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`opcgate serve` as a process of its own in front of the real engine."""
    folder = tmp_path_factory.mktemp("gateway")
    port = free_port()
    config = folder / "opcgate.yaml"
    config.write_text(yaml.safe_dump(gateway_settings(engine, port, folder)), encoding="utf-8")
    key = run_opcgate("keys", "create", "--name", "tests", "--policy", "review", "--config", str(config)).stdout.strip()
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "configs", "serve", "--config", str(config)], cwd=ROOT, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, process, folder / "gateway.log")
        yield Served(url, key, config)
    finally:
        process.terminate()
        process.wait(20)


def gateway_settings(engine: str, port: int, folder: Path) -> dict:
    """A settings file's content: the shipped rules and catalog, one node, a database of its own."""
    configs = ROOT / "configs"
    return {
        "listen": {"port": port},
        "database": {"url": f"sqlite+aiosqlite:///{folder}/opcgate.db", "key_cache_seconds": 0.5},
        "catalog": str(configs / "models.yaml"),
        "labels": {"key_file": str(folder / "label-key.pem")},
        "compliance": {
            "policy": str(configs / "policies" / "base.yaml"),
            "lexicons": [str(configs / "lexicons" / "starter.tsv")],
            "allow_lists": [str(configs / "lexicons" / "allow.tsv")],
        },
        "nodes": [{"name": "local", "url": engine, "models": ["opc-starter", "opc-starter-short-drama"]}],
    }


def run_opcgate(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
    """The `opcgate` command, as a user would run it."""
    done = subprocess.run(
        [sys.executable, "-m", "configs", *arguments],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def wait_until_ready(url: str, process: subprocess.Popen, log: Path) -> None:
    """Return when /readyz is green; fail with the log's end when the process dies or never gets there."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-2000:]
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"{url}/readyz", timeout=5):
            return
        time.sleep(0.2)
    pytest.fail(f"not ready in 90 s: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session", autouse=True)
def _no_secrets_from_outside() -> None:
    """A developer's own settings and keys must not reach the tests."""
    for name in ("OPCGATE_CONFIG", "OPCGATE_DATABASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        os.environ.pop(name, None)

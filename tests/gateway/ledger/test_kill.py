"""Two real gateway processes on one database, one of them killed in the middle of load; both databases."""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from configs.loader import load_settings
from configs.schema import Settings
from gateway.ledger.postings import GRANTS, NewGrant, create_grant
from gateway.ledger.tables import Grant
from gateway.ledger.verify import verify
from gateway.store import RequestRecord
from gateway.tenants.command import change
from gateway.tenants.keys import KeySpec, add_key
from gateway.tenants.organisations import add_organisation
from loadtests.fake_engine import FakeEngine, Script, running
from tests.conftest import ROOT, free_port, wait_until_ready

CATALOG = {"models": [{"id": "opc-starter", "source": {"huggingface": "none/none"}, "context_tokens": 1024}]}
UNITS = 4_000_000
PAID = 7 * 1000 + 5 * 10_000  # the fake says 7 tokens of prompt, and one for each of 5 deltas


def settings_file(folder: Path, url: str, upstream: str, port: int) -> Path:
    configs = ROOT / "configs"
    (folder / "models.yaml").write_text(yaml.safe_dump(CATALOG))
    content = {
        "listen": {"port": port},
        "catalog": "models.yaml",
        "database": {"url": url, "key_cache_seconds": 1.0},
        "limits": {"concurrent_requests_per_key": 64},
        "upstream": {"probe_interval_seconds": 0.3, "probe_timeout_seconds": 1.0},
        "labels": {"key_file": str(folder / "label-key.pem")},
        "compliance": {
            "policy": f"{configs}/policies/base.yaml",
            "lexicons": [f"{configs}/lexicons/starter.tsv"],
            "allow_lists": [f"{configs}/lexicons/allow.tsv"],
        },
        "workers": {"heartbeat_seconds": 0.3, "dead_after_seconds": 1.5},
        "ledger": {
            "prices": {"opc-starter": {"prompt": "1", "output": "10"}},
            "lease_units": "2",
            "lease_seconds": 2.0,
            "idle_seconds": 0.5,
            "upkeep_seconds": 0.2,
        },
        "nodes": [{"name": "fake", "url": upstream, "models": ["opc-starter"]}],
    }
    path = folder / f"opcgate-{port}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/opcgate.db"
    return str(request.getfixturevalue("postgres"))


@pytest.fixture
def upstream() -> Iterator[str]:
    engine = FakeEngine(("opc-starter",))
    engine.script = Script([{"content": "好"}] * 5, pause_seconds=0.02)
    with running(engine) as url:
        yield url


class Load:
    """Clients that ask without pause until they are told to stop, and what they were answered."""

    def __init__(self, urls: list[str], key: str) -> None:
        self.answered: dict[str, int] = {}
        self.refused = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(urls[one % 2], key)) for one in range(8)]
        for thread in self._threads:
            thread.start()

    def _ask(self, url: str, key: str) -> None:
        body = {"model": "opc-starter", "messages": [{"role": "user", "content": "写"}], "max_tokens": 80}
        with httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=20) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post("/v1/chat/completions", json=body)
                except httpx.TransportError:
                    time.sleep(0.05)
                    continue
                if answer.status_code == 200:
                    self.answered[answer.headers["x-request-id"]] = answer.status_code
                else:
                    self.refused += answer.status_code == 429

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def test_a_killed_worker_loses_and_oversells_nothing(database_url: str, upstream: str, tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    paths = [settings_file(tmp_path, database_url, upstream, port) for port in ports]
    settings = load_settings(paths[0])
    tenant = f"kill-{secrets.token_hex(4)}"
    key = change(settings, lambda connection: _prepare(connection, tenant))
    processes = []
    for path in paths:
        with (tmp_path / f"{path.name}.log").open("wb") as log:
            command = [sys.executable, "-m", "configs", "serve", "--config", str(path)]
            processes.append(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log))
    try:
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        for url, process, path in zip(urls, processes, paths, strict=True):
            wait_until_ready(url, process, tmp_path / f"{path.name}.log")
        load = Load(urls, key)
        _wait_for(lambda: len(load.answered) > 20)
        os.kill(processes[0].pid, signal.SIGKILL)
        processes[0].wait(10)
        _wait_for(lambda: load.refused > 5)
        load.stop()
        # The dead worker's leases are taken back, the living one's returned.
        _wait_for(lambda: _reserved(settings, tenant) == 0)
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.terminate()
        for process in processes:
            process.wait(20)
    assert change(settings, lambda connection: connection.run_sync(verify)) == []
    costs = change(settings, lambda connection: _costs(connection, tenant))
    grants = change(settings, lambda connection: _grants(connection, tenant))
    assert set(load.answered) <= set(costs), "whoever has got an answer is on record"
    assert all(costs[one] == PAID for one in load.answered)
    assert sum(costs.values()) == sum(one.spent for one in grants) > 0
    for one in grants:
        assert one.available + one.spent == one.amount


async def _prepare(connection: AsyncConnection, tenant: str) -> str:
    await add_organisation(connection, {"id": tenant, "name": tenant}, "test")
    now = datetime.now(UTC)
    for number in range(2):
        voucher = NewGrant(tenant, "p", f"{tenant}-{number}", UNITS, now, now + timedelta(days=1 + number))
        await connection.run_sync(create_grant, now, voucher, "test")
    return (await add_key(connection, KeySpec("load", tenant), "test"))[1]


async def _grants(connection: AsyncConnection, tenant: str) -> list[Any]:
    return list(await connection.execute(select(*GRANTS).where(Grant.tenant == tenant)))


async def _costs(connection: AsyncConnection, tenant: str) -> dict[str, int]:
    query = select(RequestRecord.id, RequestRecord.cost).where(RequestRecord.tenant == tenant)
    return {row.id: row.cost or 0 for row in await connection.execute(query)}


def _reserved(settings: Settings, tenant: str) -> int:
    return sum(one.reserved for one in change(settings, lambda connection: _grants(connection, tenant)))


def _wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in a minute"
        time.sleep(0.2)

"""Two real gateways on one PostgreSQL, both killed in the middle of load, one after the other.

The same on SQLite, with the workers of a pool: tests/gateway/faults/test_killed.py.
"""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import yaml
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from configs.loader import load_settings
from configs.schema import Settings
from gateway.audit.source import DatabaseSource
from gateway.audit.verify import Verification
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
UNITS = 8_000_000
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
        "audit": {"key_file": str(folder / "audit-key.pem"), "sign_seconds": 0.5},
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


@pytest.fixture
def database_url(postgres: str) -> str:
    name = f"kill_{secrets.token_hex(4)}"
    asyncio.run(_create_database(postgres, name))
    return make_url(postgres).set(database=name).render_as_string(hide_password=False)


async def _create_database(url: str, name: str) -> None:
    """A database of its own on the tests' server: its whole audit log is verified."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute(f'CREATE DATABASE "{name}"')
    await connection.close()


@pytest.fixture
def engine() -> FakeEngine:
    engine = FakeEngine(("opc-starter",))
    engine.script = Script([{"content": "好"}] * 5, pause_seconds=0.02)
    return engine


@pytest.fixture
def upstream(engine: FakeEngine) -> Iterator[str]:
    with running(engine) as url:
        yield url


@contextmanager
def serving(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway, which is ended in order unless it was killed."""
    log = path.with_suffix(".log")
    command = [sys.executable, "-m", "configs", "serve", "--config", str(path)]
    with log.open("ab") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        process.wait(20)


def ready(path: Path, process: subprocess.Popen[bytes]) -> str:
    """The gateway's address, once it answers."""
    url = f"http://127.0.0.1:{load_settings(path).listen.port}"
    wait_until_ready(url, process, path.with_suffix(".log"))
    return url


class Load:
    """Clients that ask without pause until they are told to stop, and what they were answered."""

    def __init__(self, urls: list[str], key: str, answered: dict[str, int] | None = None) -> None:
        self.answered = dict(answered or {})
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


def test_two_killed_replicas_lose_and_oversell_nothing(
    database_url: str, engine: FakeEngine, upstream: str, tmp_path: Path
) -> None:
    paths = [settings_file(tmp_path, database_url, upstream, free_port()) for _ in range(2)]
    settings = load_settings(paths[0])
    tenant = f"kill-{secrets.token_hex(4)}"
    key = change(settings, lambda connection: _prepare(connection, tenant))
    with ExitStack() as stack:
        replicas = [stack.enter_context(serving(path)) for path in paths]
        load = Load([ready(path, one) for path, one in zip(paths, replicas, strict=True)], key)
        stack.callback(load.stop)
        _wait_for(lambda: len(load.answered) > 20)
        _kill(replicas[0])
        answered = len(load.answered)
        _wait_for(lambda: len(load.answered) > answered + 10)
        _kill(replicas[1])
        load.stop()
        _wait_for(lambda: engine.seen.open == 0)  # a request of a dead gateway is nobody's any more
        third = stack.enter_context(serving(paths[0]))
        load = Load([ready(paths[0], third)] * 2, key, load.answered)
        stack.callback(load.stop)
        _wait_for(lambda: load.refused > 5)
        load.stop()
        # The dead workers' leases are taken back, the living one's returned.
        _wait_for(lambda: _reserved(settings, tenant) == 0)
    assert engine.seen.open == 0
    assert change(settings, lambda connection: connection.run_sync(verify)) == []
    assert change(settings, _audit_problems) == []
    costs = change(settings, lambda connection: _costs(connection, tenant))
    grants = change(settings, lambda connection: _grants(connection, tenant))
    assert set(load.answered) <= set(costs), "whoever has got an answer is on record"
    assert all(costs[one] == PAID for one in load.answered)
    assert sum(costs.values()) == sum(one.spent for one in grants) > 0
    for one in grants:
        assert one.available + one.spent == one.amount


def _kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)


async def _audit_problems(connection: AsyncConnection) -> list[str]:
    run = Verification(DatabaseSource(connection, None), None, frozenset())
    return [str(one) async for one in run.problems()]


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

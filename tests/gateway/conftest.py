"""A gateway in front of the fake engine, for faults that a real engine won't show on demand; both databases."""

import asyncio
import os
import shutil
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.build import build_pipeline, shipped_settings
from compliance.pipeline import Pipeline
from configs.loader import load_settings
from configs.schema import DatabaseSettings, Settings
from gateway.app import build_app
from gateway.store import migrate, open_engine
from loadtests.fake_engine import FakeEngine, Script, running
from tests.conftest import free_port, run_opcgate

CATALOG = """
models:
  - id: opc-starter
    source: {huggingface: none/none}
    context_tokens: 1024
  - id: vectors
    source: {huggingface: none/none}
    kind: embed
    context_tokens: 1024
"""


@dataclass(frozen=True)
class Faulty:
    """The gateway's client (with a valid key) and the fake behind it."""

    client: httpx.Client
    url: str
    key: str
    engine: FakeEngine
    database: Path

    def chat(self, *, stream: bool = False, **fields: object) -> httpx.Response:
        body = {"model": "opc-starter", "messages": [{"role": "user", "content": "写一句文案"}], "stream": stream}
        return self.client.post("/v1/chat/completions", json=body | fields)


@pytest.fixture(scope="session")
def faulty_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    folder = tmp_path_factory.mktemp("faulty")
    engine = FakeEngine(("opc-starter", "vectors"))
    with running(engine) as upstream:
        settings = _settings(folder, upstream)
        key = run_opcgate(
            "keys", "create", "--name", "t", "--policy", "review", "--config", str(folder / "opcgate.yaml")
        ).stdout.strip()
        with serving(settings) as url, httpx.Client(base_url=url, timeout=20) as client:
            client.headers["authorization"] = f"Bearer {key}"
            wait_ready(client)
            yield Faulty(client, url, key, engine, folder / "opcgate.db")


@pytest.fixture
def faulty(faulty_session: Faulty) -> Iterator[Faulty]:
    """The session's gateway, with a fresh script and, afterwards, nothing left open on the engine."""
    faulty_session.engine.script = Script()
    faulty_session.engine.up = True
    faulty_session.engine.seen.bodies.clear()
    wait_ready(faulty_session.client)
    yield faulty_session
    deadline = time.monotonic() + 5
    while faulty_session.engine.seen.open and time.monotonic() < deadline:
        time.sleep(0.02)
    assert faulty_session.engine.seen.open == 0, "a request is still open on the engine"


def wait_ready(client: httpx.Client, *, ready: bool = True) -> None:
    deadline = time.monotonic() + 20
    while (client.get("/readyz").status_code == 200) != ready:
        assert time.monotonic() < deadline, f"/readyz did not turn {'green' if ready else 'red'}"
        time.sleep(0.05)


def _settings(folder: Path, upstream: str) -> Settings:
    configs = Path(__file__).resolve().parents[2] / "configs"
    (folder / "models.yaml").write_text(CATALOG)
    (folder / "opcgate.yaml").write_text(
        f"""
catalog: models.yaml
database: {{url: "sqlite+aiosqlite:///{folder}/opcgate.db", key_cache_seconds: 0.2}}
limits: {{concurrent_requests_per_key: 8}}
listen: {{max_body_bytes: 1048576}}
upstream: {{idle_seconds: 1.0, whole_answer_seconds: 1.5, probe_interval_seconds: 0.3, probe_timeout_seconds: 1.0}}
compliance:
  policy: {configs}/policies/base.yaml
  lexicons: [{configs}/lexicons/starter.tsv]
  allow_lists: [{configs}/lexicons/allow.tsv]
labels: {{key_file: "{folder}/label-key.pem"}}
nodes: [{{name: fake, url: "{upstream}", models: [opc-starter, vectors]}}]
"""
    )
    return load_settings(folder / "opcgate.yaml")


class serving:  # noqa: N801 - a context manager, read as a verb
    """The app on a real socket, in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._port = free_port()
        self.app = build_app(settings)
        config = uvicorn.Config(
            self.app, port=self._port, log_level="warning", lifespan="on", ws="none", proxy_headers=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=(self.sockets(),), name="gateway")

    def sockets(self) -> list[socket.socket] | None:
        """Those to listen on; None: the server makes its own."""
        return None

    def __enter__(self) -> str:
        self._thread.start()
        deadline = time.monotonic() + 60
        while not self._server.started:
            assert self._thread.is_alive(), "the gateway did not start"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return f"http://127.0.0.1:{self._port}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture(scope="session")
def shipped() -> Pipeline:
    """The shipped rules, for tests that need no gateway around them."""
    return build_pipeline(shipped_settings())


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    import pgserver  # it looks for the runtime folder when imported, and warns without one

    server = pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+asyncpg://")
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the newest tables, in a folder that wasn't there; to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "deep" / "er" / "opcgate.db"
    asyncio.run(_migrate_twice(DatabaseSettings(url=f"sqlite+aiosqlite:///{path}")))
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: str) -> str:
    asyncio.run(_migrate_twice(DatabaseSettings(url=postgres)))
    return postgres


async def _migrate_twice(settings: DatabaseSettings) -> None:
    await migrate(settings)
    await migrate(settings)  # a second start changes nothing


@pytest.fixture(params=["sqlite", "postgresql"])
def database_settings(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseSettings:
    """Where a database with the newest tables is: a SQLite file of the test's own, or the run's PostgreSQL."""
    if request.param == "sqlite":
        path = shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path)
        return DatabaseSettings(url=f"sqlite+aiosqlite:///{path}")
    return DatabaseSettings(url=request.getfixturevalue("migrated_postgres"))


@pytest.fixture
async def database(database_settings: DatabaseSettings) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(database_settings)
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM api_keys"))
        await connection.execute(text("DELETE FROM requests"))
    yield engine
    await engine.dispose()

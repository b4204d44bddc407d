"""A log of its own for each test, on both databases."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.labels.signing_key import SigningKey, load_or_create_key
from configs.schema import DatabaseSettings
from configs.sections.audit import AuditSettings
from gateway.audit.checkpoint import Checkpoint, take_checkpoint
from gateway.audit.signer import HeadSigner
from gateway.audit.source import DatabaseSource
from gateway.audit.verify import Problem, Verification
from gateway.audit.writer import ChainWriter
from gateway.group_commit import group_writer
from gateway.record import RequestEntry, Settlement
from gateway.recorder import Recorder

TABLES = (
    "audit_links", "audit_heads", "audit_signatures", "audit_keys", "audit_texts", "audit_leases", "acts", "requests",
    "workers",
)  # fmt: skip


@pytest.fixture
async def empty(database: AsyncEngine) -> AsyncEngine:
    async with database.begin() as connection:
        for table in TABLES:
            await connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names from above
    return database


@dataclass
class Log:
    """The log of one or more workers over a database."""

    engine: AsyncEngine
    settings: AuditSettings
    key: SigningKey
    now: list[float] = field(default_factory=lambda: [1_790_000_000.25])

    def clock(self) -> float:
        return self.now[0]

    @asynccontextmanager
    async def worker(self, name: str) -> AsyncIterator[tuple[Recorder, ChainWriter, HeadSigner]]:
        chain = ChainWriter(name, self.clock)
        signer = HeadSigner(self.engine, self.key, chain, self.settings, self.clock)
        url = self.engine.url.render_as_string(hide_password=False)
        with group_writer(DatabaseSettings(url=url), self.engine, [chain]) as write_group:
            recorder = Recorder(write_group)
            recorder.start()
            await signer.start()
            try:
                yield recorder, chain, signer
            finally:
                await recorder.close()
                await signer.close()

    def settlement(self, number: int, **fields: object) -> Settlement:
        entry = RequestEntry(
            id=f"req_{number:08d}",
            endpoint="chat.completions",
            started_at=self.now[0],
            rules_version="rules-1",
            key_id="key_1",
            scan_seconds=0.1 + number / 3,
            findings=[
                {"where": "messages.0.content", "risk": "身份证 é😀", "start": number, "score": 1.0, "why": None}
            ],
            released={"choices.0.content": {"decided_to": number, "covered": [(0, 2)]}},
        )
        for name, value in fields.items():
            setattr(entry, name, value)
        return Settlement(entry.row(self.now[0] + 0.1 + number / 7))

    async def verify(
        self,
        checkpoint: Checkpoint | None = None,
        *,
        since_us: int | None = None,
        trusted: frozenset[str] = frozenset(),
    ) -> tuple[list[Problem], Verification]:
        async with self.engine.connect() as connection:
            run = Verification(DatabaseSource(connection, since_us), checkpoint, trusted)
            return [one async for one in run.problems()], run

    async def checkpoint(self) -> Checkpoint:
        async with self.engine.connect() as connection:
            return await take_checkpoint(connection, self.clock())


@pytest.fixture
def log(empty: AsyncEngine, tmp_path: Path) -> Log:
    settings = AuditSettings(key_file=tmp_path / "audit.pem", text_key_file=tmp_path / "texts.txt")
    return Log(empty, settings, load_or_create_key(settings.key_file))


@pytest.fixture
def tamper(empty: AsyncEngine) -> Callable[..., object]:
    """Change the database behind the log's back."""

    async def run(*statements: str) -> None:
        async with empty.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    return run

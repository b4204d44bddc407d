"""The tables, and how an engine to them is made. SQLite (WAL) and PostgreSQL alike."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]
import orjson
from alembic import command
from alembic.config import Config
from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    DateTime,
    Float,
    Integer,
    String,
    Text,
    event,
    exc,
)
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from configs.schema import DatabaseSettings

T = TypeVar("T")
MIGRATIONS = Path(__file__).resolve().parent / "migrations"


class Base(DeclarativeBase):
    """Declarative base of every table."""


class ApiKey(Base):
    """A key, stored as its SHA-256: keys are 256 random bits, so a slow password hash adds nothing."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(24), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    policy: Mapped[str | None] = mapped_column(String(100))
    tenant: Mapped[str | None] = mapped_column(String(60))
    suspended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    suspended_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    suspended_why: Mapped[str | None] = mapped_column(String(100))
    restored_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    label_position: Mapped[str | None] = mapped_column(String(10))
    member: Mapped[str | None] = mapped_column(String(24))
    role: Mapped[str | None] = mapped_column(String(10))
    scopes: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    addresses: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    notes: Mapped[str | None] = mapped_column(String(500))
    version: Mapped[int] = mapped_column(Integer, default=1)
    previous_digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    previous_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class LabelAgreement(Base):
    """One row per agreement under which a key may ask for output without visible labels; rows are never deleted."""

    __tablename__ = "label_agreements"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    key_id: Mapped[str] = mapped_column(String(24), index=True)
    version: Mapped[str] = mapped_column(String(40))
    agreed_by: Mapped[str] = mapped_column(String(100))
    agreed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    withdrawn_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class RequestRecord(Base):
    """One row per request, refused ones included: what was asked, scanned, released and used. No user text."""

    __tablename__ = "requests"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    key_id: Mapped[str | None] = mapped_column(String(24))
    key_version: Mapped[int | None] = mapped_column(Integer)
    tenant: Mapped[str | None] = mapped_column(String(60))
    worker: Mapped[str | None] = mapped_column(String(40))
    endpoint: Mapped[str] = mapped_column(String(40))
    model: Mapped[str | None] = mapped_column(String(100))
    model_digest: Mapped[str | None] = mapped_column(String(64))
    node: Mapped[str | None] = mapped_column(String(60))
    region: Mapped[str | None] = mapped_column(String(40))
    streamed: Mapped[bool]
    outcome: Mapped[str] = mapped_column(String(30))
    error_code: Mapped[str | None] = mapped_column(String(40))
    prompt_tokens: Mapped[int | None] = mapped_column(Integer)
    completion_tokens: Mapped[int | None] = mapped_column(Integer)
    cached_tokens: Mapped[int | None] = mapped_column(Integer)
    cost: Mapped[int | None] = mapped_column(BigInteger)
    rules_version: Mapped[str] = mapped_column(String(80))
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    released: Mapped[dict[str, Any]] = mapped_column(JSON)
    covered: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    attempts: Mapped[int | None] = mapped_column(Integer)
    scan_seconds: Mapped[float | None] = mapped_column(Float)
    queue_seconds: Mapped[float | None] = mapped_column(Float)
    first_byte_seconds: Mapped[float | None] = mapped_column(Float)
    total_seconds: Mapped[float] = mapped_column(Float)
    note: Mapped[str] = mapped_column(Text, default="")
    policy: Mapped[str | None] = mapped_column(Text)
    violation: Mapped[str | None] = mapped_column(String(10))
    label_position: Mapped[str | None] = mapped_column(String(10))
    label_characters: Mapped[int | None] = mapped_column(Integer)
    label_agreement: Mapped[int | None] = mapped_column(Integer)
    prompt_text_digest: Mapped[str | None] = mapped_column(String(64))
    answer_text_digest: Mapped[str | None] = mapped_column(String(64))


def open_engine(settings: DatabaseSettings) -> AsyncEngine:
    """An async engine; a SQLite file's folder is made, and SQLite runs in WAL mode.

    A server that can't be connected to is an SQLAlchemyError like every other fault of it.
    """
    url, wait = make_url(settings.url), settings.wait_seconds
    if url.get_backend_name() != "sqlite":
        connect = {"timeout": wait, "async_creator_fn": _connect}
        options = {"wait_seconds": wait}
        return create_async_engine(
            url,
            pool_pre_ping=True,
            pool_timeout=wait,
            connect_args=connect,
            execution_options=options,
            json_serializer=json_of,
        )
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(url, json_serializer=json_of)
    prepare_sqlite(engine.sync_engine)
    return engine


async def _connect(*arguments: Any, **named: Any) -> Any:
    """The driver's own errors are not turned into SQLAlchemy's while it connects, as to a server that is starting."""
    try:
        return await asyncpg.connect(*arguments, **named)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise AsyncAdapt_asyncpg_dbapi.OperationalError(type(error).__name__) from error


@asynccontextmanager
async def in_time(engine: AsyncEngine) -> AsyncIterator[None]:
    """A block that waits for PostgreSQL. Raises SQLAlchemy's TimeoutError after `database.wait_seconds` of it.

    SQLite gives up by itself, after five seconds, and what it does in its threads can't be called back.
    """
    try:
        async with asyncio.timeout(engine.get_execution_options().get("wait_seconds")):
            yield
    except TimeoutError as error:
        raise exc.TimeoutError("the database does not answer") from error


def json_of(value: Any) -> str:
    """JSON of a column, three times as fast as the standard library's."""
    return orjson.dumps(value).decode()


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that reads before it writes. Raises SQLAlchemyError when it can't be begun in time.

    SQLite takes the write lock at once: a transaction that has read can't get it later if another one wrote meanwhile.
    """
    begun = engine.execution_options(sqlite_begin="BEGIN IMMEDIATE").begin()
    entering = asyncio.ensure_future(begun.__aenter__())
    try:
        async with in_time(engine):
            connection = await asyncio.shield(entering)
    except BaseException:
        ending = asyncio.ensure_future(_end(begun, entering))
        entering.add_done_callback(lambda _: ending)  # keeps it
        raise
    try:
        yield connection
    except BaseException as error:
        await asyncio.shield(asyncio.ensure_future(begun.__aexit__(type(error), error, None)))
        raise
    await asyncio.shield(asyncio.ensure_future(begun.__aexit__(None, None, None)))


async def _end(begun: Any, entering: "asyncio.Future[AsyncConnection]") -> None:
    """End a transaction that nobody waits for any more: cancelled halfway, it could keep SQLite locked for ever."""
    with suppress(Exception, asyncio.CancelledError):
        await entering
        await begun.__aexit__(asyncio.CancelledError, asyncio.CancelledError(), None)


def prepare_sqlite(engine: Engine) -> None:
    """Let an engine to SQLite begin its transactions itself, in WAL mode."""
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)


def _set_pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by `_begin`, not by the driver's guess
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


async def migrate(settings: DatabaseSettings) -> None:
    """Bring the database to the newest migration; safe to call at every start."""
    engine = open_engine(settings)
    await engine.dispose()
    await asyncio.to_thread(command.upgrade, _alembic(settings), "head")


def _alembic(settings: DatabaseSettings) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = settings.url
    return config


async def with_database(settings: DatabaseSettings, use: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    """Migrate, open, use and close the database: what a command-line call needs."""
    await migrate(settings)
    engine = open_engine(settings)
    try:
        return await use(engine)
    finally:
        await engine.dispose()

"""What waits for a database that is away: nothing is lost or written twice, and what is unfit stops nobody else."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.schema import DatabaseSettings
from gateway.errors import RecordFailed, RecordPending
from gateway.group_commit import group_writer
from gateway.record import RequestEntry, Settlement
from gateway.recorder import Recorder
from gateway.settling import settle
from gateway.store import RequestRecord
from tests.gateway.faults.site import until


def settlement(number: int, **fields: object) -> Settlement:
    entry = RequestEntry(id=f"req_{number}", endpoint="chat.completions", started_at=1.0, rules_version="r", cost=5)
    return Settlement(entry.row(2.0) | fields)


class Store:
    """Keeps ids; away while `error` is set, which a group may still reach before its answer is lost."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.lost_answers = 0
        self.rows: dict[str, Settlement] = {}
        self.unfit: set[str] = set()
        self.attempts = 0

    async def write(self, group: Sequence[Settlement], *, uncertain: bool = False) -> None:
        self.attempts += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        new = {one.row["id"]: one for one in group if not (uncertain and one.row["id"] in self.rows)}
        if self.unfit & set(new) or set(new) & set(self.rows):
            raise IntegrityError("", {}, Exception("unfit"))
        self.rows |= new
        if self.lost_answers:
            self.lost_answers -= 1
            raise OperationalError("", {}, Exception("connection lost"))


@pytest.fixture
def store() -> Store:
    return Store()


async def started(store: Store, **sizes: int) -> Recorder:
    recorder = Recorder(store.write, close_seconds=0.1, **sizes)
    recorder.start()
    return recorder


def sqlstate(code: str) -> DBAPIError:
    original = Exception()
    original.sqlstate = code  # type: ignore[attr-defined]
    return DBAPIError("", {}, original)


AWAY = [OperationalError("", {}, Exception()), OSError(), TimeoutError(), sqlstate("53100"), sqlstate("57P01")]


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
async def test_what_ends_while_it_is_away_is_written_when_it_is_back(store: Store, error: Exception) -> None:
    recorder = await started(store)
    store.error = error
    written = [recorder.submit(settlement(number)) for number in range(300)]
    await until(lambda: recorder.away, "the recorder did not notice")
    with pytest.raises(RecordFailed):
        recorder.check_room()
    store.error = None
    await asyncio.gather(*written)
    recorder.check_room()
    assert len(store.rows) == 300
    await recorder.close()


async def test_a_commit_whose_answer_was_lost_is_not_repeated(store: Store) -> None:
    recorder = await started(store)
    store.lost_answers = 1
    await asyncio.gather(*(recorder.submit(settlement(number)) for number in range(3)))
    assert sorted(store.rows) == ["req_0", "req_1", "req_2"]
    assert store.attempts == 2
    await recorder.close()


async def test_one_that_is_unfit_stops_nobody_else(store: Store) -> None:
    recorder = await started(store)
    store.unfit = {"req_1"}
    results = await asyncio.gather(*(recorder.submit(settlement(one)) for one in range(3)), return_exceptions=True)
    assert [type(one) for one in results] == [type(None), IntegrityError, type(None)]
    recorder.check_room()
    await recorder.close()


async def test_what_nobody_received_is_written_as_such(store: Store) -> None:
    recorder = await started(store)
    store.error = OSError()
    completed, refused = settlement(1, outcome="completed"), settlement(2, outcome="refused", error_code="x")
    written = [recorder.submit(completed), recorder.submit(refused)]
    for one in written:
        recorder.take_back(one)
    store.error = None
    await asyncio.gather(*written)
    rows = [store.rows[name].row for name in ("req_1", "req_2")]
    assert [(row["outcome"], row["error_code"], row["cost"]) for row in rows] == [
        ("failed", "record_failed", 0),
        ("refused", "x", 0),
    ]
    assert all(row["note"].startswith("not delivered") for row in rows)
    await recorder.close()


async def test_requests_are_refused_before_too_many_wait(store: Store) -> None:
    recorder = Recorder(store.write, most=2)  # not started: as if a commit hung
    recorder.submit(settlement(1))
    recorder.check_room()
    recorder.submit(settlement(2))
    with pytest.raises(RecordFailed):
        recorder.check_room()


async def test_what_is_lost_at_the_end_is_named(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    recorder = await started(store)
    store.error = OSError()
    recorder.submit(settlement(7, tenant="acme", prompt_tokens=3, completion_tokens=4))
    with caplog.at_level(logging.ERROR):
        await recorder.close()
    assert "request req_7 of acme is not recorded: (3, 4) tokens" in caplog.text


async def test_what_was_written_already_is_looked_up(database: AsyncEngine) -> None:
    url = database.url.render_as_string(hide_password=False)
    with group_writer(DatabaseSettings(url=url), database) as write:
        await write([settlement(1)])
        await write([settlement(1), settlement(2)], uncertain=True)
        await write([settlement(1)], uncertain=True)
    async with database.connect() as connection:
        ids = (await connection.execute(select(RequestRecord.id).order_by(RequestRecord.id))).scalars().all()
    assert ids == ["req_1", "req_2"]


TOLD = [
    # streamed, first byte sent, outcome, error code; what the caller is told, what is written of it
    (True, True, "completed", None, RecordPending, ("completed", None, 5)),
    (True, True, "cut", None, RecordPending, ("cut", None, 5)),
    (True, True, "failed", "node_failed", None, ("failed", "node_failed", 5)),
    (True, False, "completed", None, RecordFailed, ("failed", "record_failed", 0)),
    (False, True, "completed", None, RecordFailed, ("failed", "record_failed", 0)),
    (False, False, "refused", "content_filter", RecordFailed, ("refused", "content_filter", 0)),
]


@pytest.mark.parametrize(("streamed", "began", "outcome", "code", "told", "written"), TOLD)
async def test_what_callers_are_told_when_the_record_takes_too_long(
    store: Store, streamed: bool, began: bool, outcome: str, code: str | None, told: Any, written: tuple[Any, ...]
) -> None:
    recorder = await started(store)
    settings = SimpleNamespace(audit=SimpleNamespace(last_byte_seconds=0.01))
    gateway: Any = SimpleNamespace(settings=settings, recorder=recorder)
    entry = RequestEntry(id="req_1", endpoint="chat.completions", started_at=1.0, rules_version="r", cost=5)
    entry.streamed, entry.outcome, entry.error_code = streamed, outcome, code
    entry.first_byte_at = 1.5 if began else None
    store.error = OSError()
    with pytest.raises(told) if told else nullcontext():
        await settle(gateway, entry, 2.0)
    store.error = None
    await until(lambda: store.rows, "it was never written")
    row = store.rows["req_1"].row
    assert (row["outcome"], row["error_code"], row["cost"]) == written
    await recorder.close()

"""The repeated-violation rule over the records, on SQLite and on a real PostgreSQL."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.policies.policy import RepeatedViolationRule
from compliance.verdict import Action
from configs.schema import DatabaseSettings
from gateway.errors import KeySuspended
from gateway.group_commit import group_writer
from gateway.record import RequestEntry, Settlement
from gateway.recorder import Recorder
from gateway.store import writing
from gateway.tenants.keys import KeyRing, create_key
from gateway.tenants.suspension import (
    Suspensions,
    Whom,
    last_violations,
    restore_key,
    restore_organisations_keys,
    suspend_key,
)
from tests.conftest import read_cases

RULE = RepeatedViolationRule(in_a_row=3, in_a_day=5, suspend_hours=24, count=frozenset({"prompt"}))

OUTCOMES = {"good": "completed", "check": "completed", "malformed": "rejected", "aborted": "client_gone"}


class Key:
    """One key at a gateway: each `ask` settles a request as the gateway does, one minute after the one before."""

    def __init__(
        self,
        engine: AsyncEngine,
        recorder: Recorder,
        key_id: str,
        key: str,
        tenant: str = "default",
        whom: Whom = "key",
    ) -> None:
        self._tenant = tenant
        self.now = datetime.now(UTC).timestamp()
        self.key_id = key_id
        self._bearer = f"Bearer {key}".encode()
        self._suspensions = Suspensions(engine, lambda: self.now, whom)
        self._ring = KeyRing(engine, 0.0, lambda: self.now)
        self._recorder = recorder
        self._numbers = itertools.count()

    async def ask(self, kind: str, rule: RepeatedViolationRule = RULE) -> str | None:
        """Why the key was suspended by this request, or None. Kinds: good, bad, malformed, aborted, check, suspend."""
        self.now += 60
        outcome = OUTCOMES.get(kind, "refused")
        entry = RequestEntry(f"{self.key_id}-{next(self._numbers)}", "chat.completions", self.now, "v", self.key_id)
        entry.outcome = outcome
        entry.tenant = self._tenant
        entry.node = "local" if kind in ("good", "aborted") else None
        entry.repeated_violations = rule
        if outcome == "refused":
            entry.broke_rules("prompt", Action.suspend if kind == "suspend" else Action.block)
        await self._recorder.settle(Settlement(entry.row(self.now)))
        return await self._suspensions.count(entry)

    async def is_suspended(self) -> bool:
        try:
            await self._ring.authenticate(self._bearer)
        except KeySuspended:
            return True
        return False


@pytest.fixture
async def key(database: AsyncEngine) -> AsyncIterator[Key]:
    url = database.url.render_as_string(hide_password=False)
    with group_writer(DatabaseSettings(url=url), database) as write_group:
        recorder = Recorder(write_group)
        recorder.start()
        yield Key(database, recorder, *await create_key(database, "t"))
        await recorder.close()


@pytest.mark.parametrize("row", read_cases("policy_violations.jsonl"), ids=lambda row: row["note"])
async def test_golden_rows(database: AsyncEngine, key: Key, row: dict) -> None:
    rule = replace(RULE, **row.get("rule", {}), count=frozenset(row.get("count", ["prompt"])))
    told: str | None = None
    for step in row["requests"]:
        if step.endswith("h"):
            key.now += 3600 * float(step[:-1])
        elif step == "restore":
            assert told is not None
            assert await restore_key(database, key.key_id, datetime.fromtimestamp(key.now, UTC))
            told = None
        else:
            assert told is None, "the key was suspended too early"
            told = await key.ask(step, rule)
    assert told == row["suspended"]
    assert await key.is_suspended() == (row["suspended"] is not None)


async def test_a_suspension_ends_by_itself(key: Key) -> None:
    for _ in range(3):
        await key.ask("bad")
    assert await key.is_suspended()
    key.now += 24 * 3600 - 1
    assert await key.is_suspended()
    key.now += 2
    assert not await key.is_suspended()
    assert [await key.ask("bad") for _ in range(3)] == [None, None, "3 in a row"], "it counts anew"


async def test_without_hours_only_an_operator_lifts_it(database: AsyncEngine, key: Key) -> None:
    assert await suspend_key(database, key.key_id, None)
    assert not await suspend_key(database, key.key_id, None), "suspended already"
    key.now += 1e9
    assert await key.is_suspended()
    assert await restore_key(database, key.key_id)
    assert not await restore_key(database, key.key_id)
    assert not await key.is_suspended()


async def test_workers_that_count_at_once_miss_nothing(database: AsyncEngine, key: Key) -> None:
    told = await asyncio.gather(*(key.ask("bad") for _ in range(3)))
    assert any(told)
    assert await key.is_suspended()


async def test_what_broke_the_rules_can_be_looked_up(database: AsyncEngine, key: Key) -> None:
    for kind in ("bad", "good", "bad"):
        await key.ask(kind)
    assert [request for _, request in await last_violations(database, key.key_id)] == [
        f"{key.key_id}-2",
        f"{key.key_id}-0",
    ]


async def test_a_key_of_its_own_counts_alone(database: AsyncEngine, key: Key) -> None:
    _, other = await create_key(database, "other")
    for _ in range(3):
        await key.ask("bad")
    assert await KeyRing(database, 0.0, lambda: key.now).authenticate(f"Bearer {other}".encode())


@pytest.mark.parametrize("whom", ["key", "organisation"])
async def test_an_organisation_may_answer_for_its_keys(database: AsyncEngine, whom: Whom) -> None:
    """By default another key of the same organisation is another caller; by the setting all of them are one."""
    mine, others = f"opc-{secrets.token_hex(4)}", f"opc-{secrets.token_hex(4)}"
    url = database.url.render_as_string(hide_password=False)
    with group_writer(DatabaseSettings(url=url), database) as write_group:
        recorder = Recorder(write_group)
        recorder.start()
        first, second, other = [
            Key(database, recorder, *await create_key(database, "t", tenant=one), one, whom)
            for one in (mine, mine, others)
        ]
        for one in (first, second):
            one.now = first.now
        told = [await one.ask("bad") for one in (first, second, other, first)]
        assert told == [None, None, None, "organisation: 3 in a row" if whom == "organisation" else None]
        suspended = [await one.is_suspended() for one in (first, second, other)]
        assert suspended == [whom == "organisation", whom == "organisation", False]
        async with writing(database) as connection:
            lifted = await restore_organisations_keys(connection, mine, "test", datetime.fromtimestamp(first.now, UTC))
        assert lifted == (2 if whom == "organisation" else 0)
        assert not await first.is_suspended()
        await recorder.close()


async def test_keys_without_an_organisation_have_nothing_to_do_with_each_other(database: AsyncEngine) -> None:
    url = database.url.render_as_string(hide_password=False)
    with group_writer(DatabaseSettings(url=url), database) as write_group:
        recorder = Recorder(write_group)
        recorder.start()
        first, second = [
            Key(database, recorder, *await create_key(database, "t"), "default", "organisation") for _ in "12"
        ]
        assert [await first.ask("bad") for _ in range(3)][-1] == "3 in a row"
        assert (await first.is_suspended(), await second.is_suspended()) == (True, False)
        await recorder.close()

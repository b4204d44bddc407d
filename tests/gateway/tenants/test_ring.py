"""The key ring: shared look-ups, bounded caches, a database that is away, and what ends a key."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.schema import DatabaseSettings
from configs.sections.tenants import TenantSettings
from gateway.errors import DirectoryUnavailable, KeySuspended, Unauthorized
from gateway.store import ApiKey, migrate, open_engine, writing
from gateway.tenants.caller import Caller
from gateway.tenants.keys import KeySpec, add_key, change_key, key_row, revoke_key, rotate
from gateway.tenants.members import change_member, member_row, remove_member
from gateway.tenants.organisations import change_organisation, set_status
from gateway.tenants.ring import KeyRing
from tests.conftest import read_cases
from tests.gateway.tenants.conftest import make_company


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DatabaseSettings:
    """A database for all tests here, since each makes keys of its own and migrating takes longer than the tests."""
    if request.param == "sqlite":
        made = DatabaseSettings(url=f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('ring')}/opcgate.db")
    else:
        made = DatabaseSettings(url=request.getfixturevalue("postgres"))
    asyncio.run(migrate(made))
    return made


@pytest.fixture
async def database(settings: DatabaseSettings) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(settings)
    yield engine
    await engine.dispose()


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC).timestamp()

    def __call__(self) -> float:
        return self.now


class Ring:
    """A key ring with a clock of its own, and a count of its queries."""

    def __init__(self, engine: AsyncEngine, cache_seconds: float = 5.0, **settings: Any) -> None:
        self.engine = engine
        self.clock = Clock()
        self.keys = KeyRing(engine, cache_seconds, self.clock, TenantSettings(**settings))
        self.queries = 0
        event.listen(engine.sync_engine, "before_cursor_execute", self._count)

    def _count(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self.queries += "FROM api_keys" in statement

    async def ask(self, key: str, address: str | None = None) -> Caller:
        return await self.keys.authenticate(f"Bearer {key}".encode(), address)

    async def refused(self, key: str, address: str | None = None) -> type[Exception] | None:
        try:
            await self.ask(key, address)
        except (Unauthorized, DirectoryUnavailable) as error:
            return type(error)
        return None


async def new_key(engine: AsyncEngine, **fields: Any) -> tuple[str, str]:
    async with writing(engine) as connection:
        return await add_key(connection, KeySpec("t", **fields), "test")


@asynccontextmanager
async def away(engine: AsyncEngine) -> AsyncIterator[None]:
    """Nothing can be connected to while the block runs."""

    def refuse(*_: Any) -> None:
        raise ConnectionRefusedError("the database is away")

    await engine.dispose()
    event.listen(engine.sync_engine, "do_connect", refuse)
    try:
        yield
    finally:
        event.remove(engine.sync_engine, "do_connect", refuse)


async def test_many_that_wait_for_the_same_cold_key_share_one_look_up(database: AsyncEngine) -> None:
    ring = Ring(database)
    _, key = await new_key(database)
    callers = await asyncio.gather(*(ring.ask(key) for _ in range(50)))
    assert len({one.key_id for one in callers}) == 1
    assert ring.queries == 1
    ring.clock.now += 6
    await asyncio.gather(*(ring.ask(key) for _ in range(50)))
    assert ring.queries == 2, "and the same when it is stale"


async def test_who_leaves_does_not_end_the_look_up_for_the_others(database: AsyncEngine) -> None:
    ring = Ring(database)
    _, key = await new_key(database)
    first, second = asyncio.create_task(ring.ask(key)), asyncio.create_task(ring.ask(key))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).role == "caller"
    assert first.cancelled()


async def test_a_flood_of_made_up_keys_pushes_out_none_that_is_in_use(database: AsyncEngine) -> None:
    ring = Ring(database, cached_keys=3)
    _, key = await new_key(database)
    await ring.ask(key)
    for number in range(10):
        assert await ring.refused(f"opc-{number}") is Unauthorized
    before = ring.queries
    await ring.ask(key)
    assert ring.queries == before
    assert await ring.refused("opc-9") is Unauthorized
    assert ring.queries == before, "the last ones are known to be none"
    assert await ring.refused("opc-0") is Unauthorized
    assert ring.queries == before + 1, "the first ones are forgotten"


async def test_the_least_lately_used_key_goes_first(database: AsyncEngine) -> None:
    ring = Ring(database, cached_keys=2)
    one, two, three = [(await new_key(database))[1] for _ in range(3)]
    for key in (one, two, one, three):
        await ring.ask(key)
    before = ring.queries
    await ring.ask(one)
    assert ring.queries == before
    await ring.ask(two)
    assert ring.queries == before + 1


async def test_while_the_database_is_away_known_keys_go_on_for_a_while_and_others_are_told_to_wait(
    database: AsyncEngine,
) -> None:
    ring = Ring(database, stale_keys_seconds=60)
    _, known = await new_key(database)
    key_id, other = await new_key(database)
    await ring.ask(known)
    async with away(database):
        ring.clock.now += 6
        assert await ring.refused(known) is None
        assert await ring.refused(other) is DirectoryUnavailable
        assert await ring.refused("opc-made-up") is DirectoryUnavailable, "not 401: that would be a guess"
        ring.clock.now += 58
        assert await ring.refused(known) is None
        ring.clock.now += 2
        assert await ring.refused(known) is DirectoryUnavailable
    ring.clock.now += 2
    assert await ring.refused(known) is None
    assert await ring.refused(other) is None
    assert await revoke_key(database, key_id)
    ring.clock.now += 6
    assert await ring.refused(other) is Unauthorized, "once it is back nothing stale is used"


async def test_a_known_key_does_not_outlive_its_end_while_the_database_is_away(database: AsyncEngine) -> None:
    ring = Ring(database, stale_keys_seconds=600)
    _, key = await new_key(database, expires_at=datetime.now(UTC) + timedelta(seconds=30))
    await ring.ask(key)
    async with away(database):
        ring.clock.now += 29
        assert await ring.refused(key) is None
        ring.clock.now += 2
        assert await ring.refused(key) is Unauthorized


async def test_a_database_that_hangs_is_away_too(database: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring(database, look_up_seconds=0.05)
    _, key = await new_key(database)
    await ring.ask(key)

    async def hang(*_: Any) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr("gateway.tenants.ring.look_up", hang)
    ring.clock.now += 6
    assert await ring.refused(key) is None
    assert await ring.refused("opc-unknown") is DirectoryUnavailable


async def test_a_clock_that_goes_back_keeps_no_revoked_key_alive(database: AsyncEngine) -> None:
    ring = Ring(database)
    key_id, key = await new_key(database)
    await ring.ask(key)
    assert await revoke_key(database, key_id)
    ring.clock.now -= 3600
    assert await ring.refused(key) is Unauthorized


async def test_rotation_gives_a_new_secret_at_once_and_lets_the_old_one_go_on_for_so_long(
    database: AsyncEngine,
) -> None:
    ring = Ring(database, cache_seconds=1e9)
    key_id, old = await new_key(database)
    await ring.ask(old)
    new = await rotated(database, key_id, 2)
    ring.keys.forget(key_id)
    was, now = await ring.ask(old), await ring.ask(new)
    assert (was.key_id, was.key_version) == (key_id, 1)
    assert (now.key_id, now.key_version) == (key_id, 2), "records tell the secrets apart"
    ring.clock.now += 2 * 3600 - 5
    assert await ring.refused(old) is None
    ring.clock.now += 10
    assert await ring.refused(old) is Unauthorized, "to the second, although it is cached"
    assert await ring.refused(new) is None
    ring.clock.now = datetime.now(UTC).timestamp()
    newest = await rotated(database, key_id, 2)
    ring.keys.forget(key_id)
    assert [await ring.refused(one) for one in (old, new, newest)] == [Unauthorized, None, None]


async def test_a_rotation_without_overlap_and_a_revocation_end_both_secrets(database: AsyncEngine) -> None:
    ring = Ring(database, cache_seconds=0)
    key_id, old = await new_key(database)
    new = await rotated(database, key_id, 0)
    ring.clock.now = datetime.now(UTC).timestamp() + 0.001
    assert [await ring.refused(one) for one in (old, new)] == [Unauthorized, None]
    newest = await rotated(database, key_id, 5)
    await revoke_key(database, key_id)
    assert [await ring.refused(one) for one in (old, new, newest)] == [Unauthorized] * 3


async def rotated(engine: AsyncEngine, key_id: str, hours: float) -> str:
    async with writing(engine) as connection:
        row = await key_row(connection, key_id, locked=True)
        assert row is not None
        return (await rotate(connection, row, hours, "test"))[0]


async def test_two_rotations_at_once_leave_the_last_two_secrets(database: AsyncEngine) -> None:
    ring = Ring(database, cache_seconds=0)
    key_id, old = await new_key(database)
    fresh = await asyncio.gather(*(rotated(database, key_id, 5) for _ in range(3)))
    valid = [await ring.refused(one) is None for one in (old, *fresh)]
    assert valid[0] is False
    assert sum(valid) == 2


async def test_an_organisation_that_is_suspended_or_closed_stops_its_keys_within_the_caches_time(
    database: AsyncEngine,
) -> None:
    ring = Ring(database)
    async with writing(database) as connection:
        company = await make_company(connection)
    key = company.members_key

    async def becomes(status: Any) -> type[Exception] | None:
        async with writing(database) as connection:
            assert await set_status(connection, company.id, status, "test")
        ring.clock.now += 5.1
        return await ring.refused(key)

    assert await ring.refused(key) is None
    assert await becomes("suspended") is KeySuspended
    assert await becomes("active") is None
    assert await becomes("closed") is Unauthorized
    async with writing(database) as connection:
        assert not await set_status(connection, company.id, "active", "test"), "closed is for good"


async def test_a_key_takes_its_members_role_at_most_and_goes_with_the_member(database: AsyncEngine) -> None:
    ring = Ring(database, cache_seconds=0)
    async with writing(database) as connection:
        company = await make_company(connection)
        row = await member_row(connection, company.member)
        assert row is not None
        await change_member(connection, row, {"role": "reviewer"}, "test")
        _, key = await add_key(connection, KeySpec("k", company.id, company.member, role="author"), "test")
    assert (await ring.ask(key)).role == "author", "the key's own is less"
    assert (await ring.ask(company.members_key)).role == "reviewer"
    async with writing(database) as connection:
        await change_member(connection, row, {"role": "caller"}, "test")
    assert (await ring.ask(key)).role == "caller", "the member's is less now"
    async with writing(database) as connection:
        await change_member(connection, row, {"status": "suspended"}, "test")
    assert await ring.refused(key) is Unauthorized
    async with writing(database) as connection:
        await change_member(connection, row, {"status": "active"}, "test")
    assert await ring.refused(key) is None
    async with writing(database) as connection:
        assert await remove_member(connection, row, "test") == 2
    assert await ring.refused(key) is Unauthorized
    assert (await ring.ask(company.owners_key)).owner


async def test_a_key_without_a_member_is_a_callers_whatever_stands_in_its_row(database: AsyncEngine) -> None:
    ring = Ring(database)
    _, key = await new_key(database, role="operator")
    assert (await ring.ask(key)).role == "caller"


async def test_a_member_of_another_organisation_lends_a_key_nothing(database: AsyncEngine) -> None:
    ring = Ring(database)
    async with writing(database) as connection:
        ours, theirs = await make_company(connection), await make_company(connection)
        _, key = await add_key(connection, KeySpec("k", ours.id, theirs.owner), "test")
    assert await ring.refused(key) is Unauthorized


async def test_what_the_organisation_sets_holds_for_its_keys_until_they_set_their_own(database: AsyncEngine) -> None:
    ring = Ring(database, cache_seconds=0)
    async with writing(database) as connection:
        company = await make_company(connection)
        await change_organisation(connection, company.id, {"policy": "review", "label_position": "start"}, "test")
    caller = await ring.ask(company.members_key)
    assert (caller.tenant_policy, caller.policy, caller.label_position) == ("review", None, "start")
    async with writing(database) as connection:
        await change_key(connection, caller.key_id, {"label_position": "end", "policy": "strict"}, "test")
    caller = await ring.ask(company.members_key)
    assert (caller.tenant_policy, caller.policy, caller.label_position) == ("review", "strict", "end")


@pytest.mark.parametrize("row", [one for one in read_cases("tenant_addresses.jsonl") if "may" in one], ids=str)
async def test_a_refused_address_gets_the_words_of_a_wrong_key(database: AsyncEngine, row: dict[str, Any]) -> None:
    ring = Ring(database)
    key_id, key = await new_key(database, addresses=tuple(row["allowed"]))
    if row["may"]:
        assert (await ring.ask(key, row["client"])).key_id == key_id
        return
    with pytest.raises(Unauthorized) as refused:
        await ring.ask(key, row["client"])
    with pytest.raises(Unauthorized) as wrong:
        await ring.ask(key + "x", row["client"])
    assert refused.value.content() == wrong.value.content()
    assert type(refused.value) is Unauthorized


async def test_when_a_key_was_last_used_is_written_by_the_hour_and_in_a_group(database: AsyncEngine) -> None:
    ring = Ring(database, cache_seconds=1e9)
    ids, keys = zip(*[await new_key(database) for _ in range(3)], strict=True)
    for key in (*keys[:2], *keys[:2]):
        await ring.ask(key)
    assert await ring.keys.last_used.write() == 2
    used = await last_used(database)
    hour = int(ring.clock.now // 3600) * 3600
    assert [used[one] for one in ids] == [hour, hour, None]
    await ring.ask(keys[0])
    assert await ring.keys.last_used.write() == 0, "the same hour is not written again"
    ring.clock.now += 3600
    await ring.ask(keys[0])
    assert await ring.keys.last_used.write() == 1
    later = await last_used(database)
    assert [later[one] for one in ids] == [hour + 3600, hour, None]


async def test_uses_that_could_not_be_written_are_written_later(database: AsyncEngine) -> None:
    ring = Ring(database)
    key_id, key = await new_key(database)
    await ring.ask(key)
    async with away(database):
        with pytest.raises(ConnectionRefusedError):
            await ring.keys.last_used.write()
    assert await ring.keys.last_used.write() == 1
    assert (await last_used(database))[key_id]


async def last_used(engine: AsyncEngine) -> dict[str, float | None]:
    async with engine.connect() as connection:
        rows = await connection.execute(select(ApiKey.id, ApiKey.last_used_at))
        return {key: at and (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() for key, at in rows}


async def test_an_act_stands_beside_every_change_and_holds_no_secret(database: AsyncEngine) -> None:
    async with writing(database) as connection:
        company = await make_company(connection)
        await set_status(connection, company.id, "suspended", "test")
    key_id, key = await new_key(database, tenant=company.id)
    new = await rotated(database, key_id, 1)
    await revoke_key(database, key_id)
    async with database.connect() as connection:
        acts = (await connection.execute(text("SELECT action, subject, detail FROM acts ORDER BY at"))).all()
    about = [action for action, subject, _ in acts if subject in (company.id, key_id)]
    assert about == ["organisations.create", "organisations.suspend", "keys.create", "keys.rotate", "keys.revoke"]
    told = str(acts)
    assert key.removeprefix("opc-") not in told
    assert new.removeprefix("opc-") not in told
    assert f"owner@{company.id}" not in told

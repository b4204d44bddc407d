"""Nodes in the database, on both: merged with the settings', drained when every worker says so, each change an act."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import delete, insert, inspect, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.loader import load_catalog
from configs.schema import DatabaseSettings
from configs.sections.routing import NodeSettings
from configs.sections.workers import WorkerSettings
from gateway.audit.acts import ActRow
from gateway.errors import InvalidRequest, NotFound
from gateway.routing.choice import Wanted
from gateway.routing.overview import NodeInfo, overview
from gateway.routing.registry import add_node, known_nodes, remove_node, set_wish
from gateway.routing.sync import NodeSync
from gateway.routing.tables import NodeReport, NodeRow
from gateway.store import _alembic, open_engine
from gateway.workers.worker import Worker, WorkerRow
from tests.gateway.routing.site import MODEL, Site, site
from tests.models.site import make_site

CATALOG = load_catalog(Path(__file__).resolve().parents[3] / "configs" / "models.yaml")
CONFIGURED = (NodeSettings(name="a", url="http://a", models=("m",)),)
ADDED = NodeSettings(
    name="b", url="http://b:1/", models=("opc-starter",), region="bj", capacity=7, labels={"rack": "1"}
)


@pytest.fixture(autouse=True)
async def _nothing_left(database: AsyncEngine) -> None:
    async with database.begin() as connection:
        for table in (NodeRow, NodeReport, WorkerRow):
            await connection.execute(delete(table))


async def acts(database: AsyncEngine) -> list[tuple[str, str, str]]:
    async with database.connect() as connection:
        rows = await connection.execute(
            select(ActRow.actor, ActRow.action, ActRow.subject).where(ActRow.action.like("nodes.%")).order_by(ActRow.id)
        )
        return [tuple(row) for row in rows]


async def worker(database: AsyncEngine) -> Worker:
    one = Worker(database, WorkerSettings(heartbeat_seconds=1000), lambda: datetime.now(UTC).timestamp())
    await one.start()
    return one


async def seen(database: AsyncEngine) -> dict[str, NodeInfo]:
    return {one.name: one for one in await overview(database, CONFIGURED)}


async def test_a_node_that_cannot_serve_a_model_is_not_added(database: AsyncEngine, tmp_path: Path) -> None:
    catalog = load_catalog(make_site(tmp_path, "w4a16-gptq"))
    old = ADDED.model_copy(update={"models": ("m-w4a16-gptq",), "hardware": "cpu"})
    with pytest.raises(InvalidRequest, match=r"node 'b' \(cpu\) can't serve 'm-w4a16-gptq': .*AVX-512"):
        await add_node(database, old, CONFIGURED, catalog, "k")
    await add_node(database, old.model_copy(update={"hardware": "cpu-avx512"}), CONFIGURED, catalog, "k")
    assert (await known_nodes(database, CONFIGURED))[-1].settings.hardware == "cpu-avx512"


async def test_added_nodes_and_states_live_beside_the_settings(database: AsyncEngine) -> None:
    before = len(await acts(database))
    await add_node(database, ADDED, CONFIGURED, CATALOG, "key_1")
    await set_wish(database, "a", "cordoned", CONFIGURED, "key_1")
    found = await seen(database)
    assert list(found) == ["a", "b"]
    assert (found["a"].state, found["a"].source) == ("cordoned", "settings")
    b = found["b"]
    assert (b.state, b.source, b.url, b.region, b.capacity) == ("unknown", "added", "http://b:1", "bj", 7)
    assert b.labels == {"rack": "1"}
    await set_wish(database, "a", "active", CONFIGURED, "cli:me")
    await remove_node(database, "b", CONFIGURED, "cli:me")
    assert list(await seen(database)) == ["a"]
    assert (await acts(database))[before:] == [
        ("key_1", "nodes.add", "b"),
        ("key_1", "nodes.cordon", "a"),
        ("cli:me", "nodes.uncordon", "a"),
        ("cli:me", "nodes.remove", "b"),
    ]


async def test_what_cant_be_is_refused_and_leaves_no_act(database: AsyncEngine) -> None:
    await add_node(database, ADDED, CONFIGURED, CATALOG, "k")
    before = await acts(database)
    for wrong in (ADDED, CONFIGURED[0].model_copy(update={"models": ("opc-starter",)})):
        with pytest.raises(InvalidRequest, match="already"):
            await add_node(database, wrong, CONFIGURED, CATALOG, "k")
    with pytest.raises(InvalidRequest, match="catalog"):
        await add_node(database, ADDED.model_copy(update={"models": ("nope",), "name": "c"}), CONFIGURED, CATALOG, "k")
    with pytest.raises(InvalidRequest, match="settings file"):
        await remove_node(database, "a", CONFIGURED, "k")
    for unknown in (remove_node(database, "x", CONFIGURED, "k"), set_wish(database, "x", "cordoned", CONFIGURED, "k")):
        with pytest.raises(NotFound):
            await unknown
    assert await acts(database) == before


async def two_workers(database: AsyncEngine) -> list[tuple[Site, NodeSync]]:
    pair = []
    for _ in range(2):
        here = await site("a")
        pair.append((here, NodeSync(database, here.nodes, await worker(database))))
    for _, sync in pair:
        await sync._worker.beat()
    return pair


async def test_a_node_is_drained_when_every_worker_says_that_it_is_empty(database: AsyncEngine) -> None:
    (first, one), (second, other) = await two_workers(database)
    busy = second.nodes.take(second.nodes.holders(next(iter(second.nodes.available()))), *wanted())
    assert busy is not None
    await set_wish(database, "a", "draining", CONFIGURED, "k")
    for sync in (one, other):
        await sync.pull()
        await sync.push()
    assert first.node("a").wish == "draining"
    assert not first.nodes.available(), "no new request goes there"
    assert (await seen(database))["a"].state == "draining"
    assert (await seen(database))["a"].open_requests == 1
    busy.release()
    await one.push()
    assert (await seen(database))["a"].state == "draining", "the other one has not said so yet"
    await other.push()
    assert (await seen(database))["a"].state == "drained"
    assert (await acts(database))[-1] == (other._worker.id, "nodes.drained", "a")
    await set_wish(database, "a", "active", CONFIGURED, "k")
    await one.pull()
    assert first.nodes.available()


async def test_a_worker_that_has_not_heard_of_the_drain_holds_it_up(database: AsyncEngine) -> None:
    (_, one), (_, other) = await two_workers(database)
    await set_wish(database, "a", "draining", CONFIGURED, "k")
    await one.pull()
    for sync in (one, other):
        await sync.push()
    assert (await seen(database))["a"].state == "draining"
    await other.pull()
    await other.push()
    assert (await seen(database))["a"].state == "drained"


def wanted() -> tuple[Any, ...]:
    return MODEL, Wanted(), 1


async def test_workers_take_over_what_is_added_changed_and_removed(database: AsyncEngine) -> None:
    here = await site("a")
    sync = NodeSync(database, here.nodes, await worker(database))
    async with database.begin() as connection:
        node = ADDED.model_copy(update={"models": ("m",)})
        row = {"name": "b", "url": node.url, "settings": node.model_dump(mode="json"), "state": "active"}
        await connection.execute(insert(NodeRow).values(row | {"changed_at": datetime.now(UTC), "changed_by": "k"}))
    await sync.pull()
    assert here.node("b").capacity == 7
    assert here.node("b").state == "down", "it has not been probed yet"
    assert here.nodes.all_ready, "a node added at run time doesn't take the gateway out"
    async with database.begin() as connection:
        changed = node.model_copy(update={"capacity": 9}).model_dump(mode="json")
        await connection.execute(update(NodeRow).where(NodeRow.name == "b").values(settings=changed))
    await sync.pull()
    assert here.node("b").capacity == 9
    await remove_node(database, "b", CONFIGURED, "k")
    await sync.pull()
    assert [one.name for one in here.nodes.states()] == ["a"]


async def test_a_model_that_the_catalog_lost_is_a_problem_of_its_node_only(database: AsyncEngine) -> None:
    here = await site("a")
    sync = NodeSync(database, here.nodes, await worker(database))
    await add_node(database, ADDED, CONFIGURED, CATALOG, "k")
    await sync.pull()
    await sync.push()
    found = await seen(database)
    assert "opc-starter" in found["b"].problem
    assert (found["a"].state, found["b"].state) == ("active", "down")
    assert (found["a"].workers, found["a"].breakers) == (1, {"closed": 1})


async def test_reports_of_the_dead_are_not_believed_and_go(database: AsyncEngine) -> None:
    (_, one), (_, other) = await two_workers(database)
    await one.push()
    await other.push()
    assert (await seen(database))["a"].workers == 2
    async with database.begin() as connection:
        old = {"at": datetime.now(UTC) - timedelta(minutes=1)}
        await connection.execute(update(NodeReport).where(NodeReport.worker == other._worker.id).values(old))
    assert (await seen(database))["a"].workers == 1
    async with database.begin() as connection:
        old = {"at": datetime.now(UTC) - timedelta(hours=2)}
        await connection.execute(update(NodeReport).where(NodeReport.worker == other._worker.id).values(old))
    await one.push()
    async with database.connect() as connection:
        assert len((await connection.execute(select(NodeReport.worker))).all()) == 1


async def test_the_migration_goes_up_down_and_up(database: AsyncEngine, tmp_path: Path) -> None:
    url = make_url(f"sqlite+aiosqlite:///{tmp_path}/m.db")
    if database.dialect.name == "postgresql":
        async with database.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            await connection.execute(text("DROP DATABASE IF EXISTS routing_migration"))
            await connection.execute(text("CREATE DATABASE routing_migration"))
        url = database.url.set(database="routing_migration")
    settings = DatabaseSettings(url=url.render_as_string(hide_password=False))
    engine = open_engine(settings)
    try:
        for revision, there in (("0008", True), ("0007", False), ("0008", True)):
            move = command.downgrade if revision == "0007" else command.upgrade
            await asyncio.to_thread(move, _alembic(settings), revision)
            async with engine.connect() as connection:
                tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
            assert ({"nodes", "node_reports"} <= set(tables)) == there
    finally:
        await engine.dispose()

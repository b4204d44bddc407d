"""Nodes in the database: those added at run time, and what operators want of every node."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from configs.compatibility import node_refusals
from configs.schema import CatalogSettings
from configs.sections.routing import NodeSettings
from gateway.audit.acts import Act, record_act
from gateway.errors import InvalidRequest, NotFound
from gateway.moments import utc
from gateway.routing.node import Wish
from gateway.routing.tables import NodeReport, NodeRow
from gateway.store import writing


@dataclass(frozen=True, slots=True)
class KnownNode:
    """A node of the settings or of the database, and what operators want of it."""

    settings: NodeSettings
    added: bool
    wish: Wish
    changed_at: datetime | None = None
    changed_by: str = ""


async def known_nodes(engine: AsyncEngine, configured: Sequence[NodeSettings]) -> list[KnownNode]:
    """Every node: first the settings' in their order, then the added ones by name. One of the settings wins."""
    async with engine.connect() as connection:
        rows = {row.name: row for row in await connection.execute(select(*NodeRow.__table__.columns))}
    nodes = []
    for settings in configured:
        row = rows.pop(settings.name, None)
        if row is None:
            nodes.append(KnownNode(settings, False, "active"))
        else:
            nodes.append(KnownNode(settings, False, row.state, utc(row.changed_at), row.changed_by))
    for name in sorted(rows):
        row = rows[name]
        if row.settings is not None:
            settings = NodeSettings.model_validate(row.settings)
            nodes.append(KnownNode(settings, True, row.state, utc(row.changed_at), row.changed_by))
    return nodes


async def add_node(
    engine: AsyncEngine,
    node: NodeSettings,
    configured: Sequence[NodeSettings],
    catalog: CatalogSettings,
    actor: str,
) -> None:
    """Add a node; workers use it within routing.refresh_seconds. Raises InvalidRequest."""
    ids = catalog.public_ids()
    unknown = [one for one in node.models if one not in ids]
    if unknown:
        raise InvalidRequest(
            f"Not in the catalog: {', '.join(unknown)}; it has {', '.join(sorted(ids))}. 模型目录中没有该模型。",
            param="models",
        )
    if refusals := node_refusals([node], catalog):
        raise InvalidRequest("; ".join(refusals), param="hardware")
    if any(one.name == node.name for one in configured):
        raise _taken(node.name)
    async with writing(engine) as connection:
        there = await connection.execute(select(NodeRow.settings).where(NodeRow.name == node.name))
        row = there.first()
        if row is not None and row.settings is not None:
            raise _taken(node.name)
        await connection.execute(delete(NodeRow).where(NodeRow.name == node.name))
        added = {"name": node.name, "url": node.url, "settings": node.model_dump(mode="json"), "state": "active"}
        await connection.execute(insert(NodeRow).values(added | {"changed_at": _now(), "changed_by": actor}))
        await record_act(connection, Act(actor, "nodes.add", node.name, node.model_dump(mode="json")))


async def remove_node(engine: AsyncEngine, name: str, configured: Sequence[NodeSettings], actor: str) -> None:
    """Take an added node away; requests under way on it end as they would. Raises NotFound, InvalidRequest."""
    if any(one.name == name for one in configured):
        raise InvalidRequest(
            f"The settings file names node '{name}': take it out there, or drain it. 请在配置文件中删除该节点。",
            param="name",
        )
    async with writing(engine) as connection:
        done = await connection.execute(delete(NodeRow).where(NodeRow.name == name, NodeRow.url.is_not(None)))
        if not done.rowcount:
            raise _unknown(name)
        await connection.execute(delete(NodeReport).where(NodeReport.node == name))
        await record_act(connection, Act(actor, "nodes.remove", name))


async def set_wish(engine: AsyncEngine, name: str, wish: Wish, configured: Sequence[NodeSettings], actor: str) -> None:
    """Cordon, drain or reopen a node; workers notice within routing.refresh_seconds. Raises NotFound."""
    action = {"active": "nodes.uncordon", "cordoned": "nodes.cordon"}.get(wish, "nodes.drain")
    values = {"state": wish, "changed_at": _now(), "changed_by": actor}
    async with writing(engine) as connection:
        done = await connection.execute(update(NodeRow).where(NodeRow.name == name).values(values))
        if not done.rowcount:
            if all(one.name != name for one in configured):
                raise _unknown(name)
            await connection.execute(insert(NodeRow).values(values | {"name": name}))
        await record_act(connection, Act(actor, action, name))


async def write_reports(connection: AsyncConnection, worker: str, reports: Sequence[dict[str, object]]) -> None:
    """Replace what this worker said of the nodes; reports that nobody renewed for an hour go."""
    now = _now()
    await connection.execute(
        delete(NodeReport).where((NodeReport.worker == worker) | (NodeReport.at < now - timedelta(hours=1)))
    )
    if reports:
        await connection.execute(insert(NodeReport), [{"worker": worker, "at": now} | one for one in reports])


async def end_drains(connection: AsyncConnection, worker: str, alive: int, fresh_seconds: float) -> None:
    """A draining node is drained once every living worker has said, since the drain began, that it is empty."""
    since = _now() - timedelta(seconds=fresh_seconds)
    rows = await connection.execute(select(NodeRow.name, NodeRow.changed_at).where(NodeRow.state == "draining"))
    for name, changed_at in rows.all():
        fresh = NodeReport.node == name, NodeReport.at > since, NodeReport.at > changed_at
        told = select(func.count(), func.sum(NodeReport.open)).where(*fresh, NodeReport.state == "draining")
        count, still_open = (await connection.execute(told)).one()
        if count >= alive and still_open == 0:
            drained = update(NodeRow).where(NodeRow.name == name, NodeRow.state == "draining").values(state="drained")
            if (await connection.execute(drained)).rowcount:
                await record_act(connection, Act(worker, "nodes.drained", name))


async def reports_of(engine: AsyncEngine, fresh_seconds: float) -> list[NodeReport]:
    """What living workers say of the nodes, by node and worker."""
    since = _now() - timedelta(seconds=fresh_seconds)
    query = select(*NodeReport.__table__.columns).where(NodeReport.at > since)
    async with engine.connect() as connection:
        rows = await connection.execute(query.order_by(NodeReport.node, NodeReport.worker))
        return [NodeReport(**row._mapping) for row in rows]


def _taken(name: str) -> InvalidRequest:
    return InvalidRequest(f"There is a node '{name}' already; choose another name. 节点名称已存在。", param="name")


def _unknown(name: str) -> NotFound:
    return NotFound(f"No node is called '{name[:50]}'; see GET /api/v1/nodes. 没有这个节点。", param="name")


def _now() -> datetime:
    return datetime.now(UTC)

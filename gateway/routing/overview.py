"""Every node as all workers together see it: what the control API and `opcgate nodes` show."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.sections.routing import NodeSettings
from gateway.routing.registry import KnownNode, known_nodes, reports_of
from gateway.routing.sync import FRESH_SECONDS
from gateway.routing.tables import NodeReport

State = Literal["active", "cordoned", "draining", "drained", "down", "unknown"]


class NodeInfo(BaseModel):
    """A node. `down`: no worker gets answers from it; `unknown`: no worker lives that could say. Loads are its own."""

    name: str
    state: State
    url: str
    region: str
    models: list[str]
    ready_models: list[str]
    capacity: int
    cost_weight: float
    labels: dict[str, str]
    source: Literal["settings", "added"]
    workers: int
    breakers: dict[str, int]
    open_requests: int
    running: int | None
    waiting: int | None
    kv_usage: float | None
    problem: str
    changed_at: datetime | None
    changed_by: str


async def overview(engine: AsyncEngine, configured: Sequence[NodeSettings]) -> list[NodeInfo]:
    """Every node, the settings' first."""
    reports = await reports_of(engine, FRESH_SECONDS)
    known = await known_nodes(engine, configured)
    return [_info(one, [report for report in reports if report.node == one.settings.name]) for one in known]


def _info(node: KnownNode, reports: Sequence[NodeReport]) -> NodeInfo:
    settings = node.settings
    newest = max(reports, key=lambda one: one.at, default=None)
    breakers = [one.breaker for one in reports]
    return NodeInfo(
        name=settings.name,
        state=_state(node, reports),
        url=settings.url,
        region=settings.region,
        models=list(settings.models),
        ready_models=sorted({name for one in reports for name in one.ready}),
        capacity=settings.capacity,
        cost_weight=settings.cost_weight,
        labels=dict(settings.labels),
        source="added" if node.added else "settings",
        workers=len(reports),
        breakers={state: breakers.count(state) for state in sorted(set(breakers))},
        open_requests=sum(one.open for one in reports),
        running=newest.running if newest else None,
        waiting=newest.waiting if newest else None,
        kv_usage=newest.kv_usage if newest else None,
        problem=next((one.problem for one in reports if one.problem), ""),
        changed_at=node.changed_at,
        changed_by=node.changed_by,
    )


def _state(node: KnownNode, reports: Sequence[NodeReport]) -> State:
    if node.wish != "active":
        return node.wish
    if not reports:
        return "unknown"
    return "active" if any(one.breaker == "closed" and one.ready for one in reports) else "down"

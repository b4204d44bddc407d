"""Keeping the nodes of this worker and the database together: operators' wishes in, reports out."""

import asyncio
import logging

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.background import Background
from gateway.routing.nodes import Nodes
from gateway.routing.registry import end_drains, known_nodes, write_reports
from gateway.store import writing
from gateway.workers.worker import Worker

log = logging.getLogger("opcgate.nodes")

FRESH_SECONDS = 15.0
"""A report that is older comes from a worker that is gone."""


class NodeSync:
    """Every few seconds: take over nodes and wishes from the database, then tell it what this worker sees.

    While the database is away, what was last known stays in force.
    """

    def __init__(self, engine: AsyncEngine, nodes: Nodes, worker: Worker) -> None:
        self._engine = engine
        self._nodes = nodes
        self._worker = worker
        self._background = Background()

    async def start(self) -> None:
        """Take over what the database knows, then keep up with it."""
        await self.pull()
        self._background.start(self._run_for_ever(), "node-sync")

    async def close(self) -> None:
        """Stop."""
        await self._background.close()

    async def pull(self) -> None:
        """Take over nodes and wishes now."""
        known = await known_nodes(self._engine, self._nodes.configured)
        wishes = {one.settings.name: one.wish for one in known}
        await self._nodes.merge([one.settings for one in known if one.added], wishes)

    async def push(self) -> None:
        """Say what this worker sees, and end drains that are complete."""
        reports: list[dict[str, object]] = [
            {
                "node": one.name,
                "state": self._nodes.wish_of(one.name),
                "ready": list(one.ready_models),
                "breaker": one.breaker,
                "open": one.open,
                "running": one.running,
                "waiting": one.waiting,
                "kv_usage": one.kv_usage,
                "problem": one.problem,
            }
            for one in self._nodes.states()
        ]
        async with writing(self._engine) as connection:
            await write_reports(connection, self._worker.id, reports)
            await end_drains(connection, self._worker.id, self._worker.alive, FRESH_SECONDS)

    async def _run_for_ever(self) -> None:
        while True:
            try:
                await self.pull()
                await self.push()
            except (SQLAlchemyError, OSError) as error:
                log.warning("nodes can't be read from the database: %s", type(error).__name__)
            except ValidationError as error:
                log.error("a node in the database breaks the schema: %d fields", error.error_count())
            await asyncio.sleep(self._nodes.settings.refresh_seconds)

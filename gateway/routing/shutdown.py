"""Stopping without breaking answers: readiness turns red, streams finish, and what is left is told in its stream."""

import asyncio
import socket

import uvicorn
from fastapi import FastAPI

from configs.schema import Settings
from gateway.chat import Gateway

SETTLE_SECONDS = 4.0
"""Enough for requests that were ended to be written into the database."""


class DrainingServer(uvicorn.Server):
    """A server that, told to stop, first says so at /readyz, then takes no connections, then ends open answers.

    They are ended `listen.drain_seconds` after that: each gets an error event and is settled like any other.
    """

    def __init__(self, config: uvicorn.Config, settings: Settings, app: FastAPI) -> None:
        super().__init__(config)
        self._settings = settings
        self._app = app
        config.timeout_graceful_shutdown = int(settings.listen.drain_seconds + SETTLE_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop."""
        gateway: Gateway = self._app.state.gateway
        gateway.nodes.closing = True
        await asyncio.sleep(self._settings.routing.drain_notice_seconds)
        ending = asyncio.create_task(self._end_later(gateway), name="drain")
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    async def _end_later(self, gateway: Gateway) -> None:
        await asyncio.sleep(self._settings.listen.drain_seconds)
        await gateway.router.stop()

"""The server process: uvicorn around the app, logs as one line per event, no user text in them."""

import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from compliance.build import RulesError
from configs.loader import SettingsError
from configs.schema import Settings
from gateway.app import build_app
from gateway.routing.shutdown import DrainingServer
from gateway.telemetry.logs import set_up_logging
from models.catalog import CatalogError


def run_server(settings: Settings, listener: socket.socket, started: Callable[[], None]) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT; open streams get `listen.drain_seconds` to end.

    `started` is called once requests are taken.
    """
    set_up_logging(settings)
    try:
        app = build_app(settings)
    except (SettingsError, CatalogError, RulesError) as error:
        raise SystemExit(f"opcgate: {error}") from None
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        log_level=settings.log_level,
        server_header=False,
        proxy_headers=False,  # X-Forwarded-For is believed of tenants.trusted_proxies only
    )
    server = AnnouncingServer(config, settings, app, started)
    server.run(sockets=[listener])
    if not server.started:
        raise SystemExit(3)


class AnnouncingServer(DrainingServer):
    """A server that says when it takes requests, and drains when it is told to stop."""

    def __init__(self, config: uvicorn.Config, settings: Settings, app: FastAPI, announce: Callable[[], None]) -> None:
        super().__init__(config, settings, app)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        if self.started:
            self._announce()

"""The server process: uvicorn around the app, logs as one line per event, no user text in them."""

import logging
import socket
from collections.abc import Callable

import uvicorn

from compliance.build import RulesError
from configs.loader import SettingsError
from configs.schema import Settings
from gateway.app import build_app
from models.catalog import CatalogError


def run_server(settings: Settings, listener: socket.socket, started: Callable[[], None]) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT; open streams get `listen.drain_seconds` to end.

    `started` is called once requests are taken.
    """
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    try:
        app = build_app(settings)
    except (SettingsError, CatalogError, RulesError) as error:
        raise SystemExit(f"opcgate: {error}") from None
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level=settings.log_level,
        timeout_graceful_shutdown=int(settings.listen.drain_seconds),
        server_header=False,
        proxy_headers=False,  # X-Forwarded-For is believed of tenants.trusted_proxies only
    )
    server = AnnouncingServer(config, started)
    server.run(sockets=[listener])
    if not server.started:
        raise SystemExit(3)


class AnnouncingServer(uvicorn.Server):
    """A server that says when it takes requests."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        if self.started:
            self._announce()

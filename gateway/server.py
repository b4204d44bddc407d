"""The server process: uvicorn around the app, logs as one line per event, no user text in them."""

import logging
import socket

import uvicorn

from compliance.build import RulesError
from configs.loader import SettingsError
from configs.schema import Settings
from gateway.app import build_app
from models.catalog import CatalogError


def run_server(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; open streams get `listen.drain_seconds` to end."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    try:
        app = build_app(settings)
    except (SettingsError, CatalogError, RulesError) as error:
        raise SystemExit(f"opcgate: {error}") from None
    uvicorn.run(
        app,
        host=settings.listen.host,
        port=settings.listen.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level=settings.log_level,
        timeout_graceful_shutdown=int(settings.listen.drain_seconds),
        server_header=False,
    )


def port_is_free(host: str, port: int) -> bool:
    """True when a server could bind there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True

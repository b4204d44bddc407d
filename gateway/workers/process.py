"""A worker's own side: the listening socket and the pipe that its parent gave it."""

import os
import socket

from configs.schema import Settings
from gateway.workers.pool import LISTENER_ENV, READY_ENV


def is_worker() -> bool:
    """True in a process that a pool has started."""
    return LISTENER_ENV in os.environ


def run_worker(settings: Settings) -> None:
    """Serve on the parent's socket, and tell the parent once requests are taken."""
    from gateway.server import run_server

    listener = socket.socket(fileno=int(os.environ.pop(LISTENER_ENV)))
    ready_pipe = int(os.environ.pop(READY_ENV))

    def ready() -> None:
        os.write(ready_pipe, b"1")
        os.close(ready_pipe)

    run_server(settings, listener, ready)

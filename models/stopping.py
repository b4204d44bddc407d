"""Signals that mean "stop": one place for every command that runs until Ctrl-C."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):
    """Somebody asked us to stop."""


@contextmanager
def signals_stop() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal raise Stopped here; a second signal while stopping is ignored."""
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            raise Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Work that goes on beside the requests of a worker, from its start to its end."""

import asyncio
import contextlib
from collections.abc import Coroutine


class Background:
    """One such task. It is begun inside the event loop, at most once."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Coroutine[None, None, None], name: str) -> None:
        """Begin the work; `name` is what logs call its task."""
        self._task = asyncio.create_task(work, name=name)

    @property
    def started(self) -> bool:
        """Whether it was begun."""
        return self._task is not None

    async def close(self) -> bool:
        """Cancel the work and wait for its end; False when it was never begun."""
        if self._task is None:
            return False
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        return True

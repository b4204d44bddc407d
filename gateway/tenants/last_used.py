"""When each key was last used, to the hour: noted in memory by requests, written in groups in the background."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import bindparam, or_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.background import Background
from gateway.store import ApiKey, writing

log = logging.getLogger("opcgate.keys")
HOUR = 3600
LATER = (
    update(ApiKey)
    .where(
        ApiKey.id == bindparam("key"),
        or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < bindparam("hour")),
    )
    .values(last_used_at=bindparam("hour"))
)


class LastUsed:
    """Notes uses and writes each key's hour once, however often it is used in it."""

    def __init__(self, engine: AsyncEngine, interval_seconds: float, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._noted: dict[str, float] = {}
        self._written: dict[str, int] = {}
        self._background = Background()

    def note(self, key_id: str, now: float) -> None:
        """A request with this key; on the hot path, so nothing more than a note."""
        self._noted[key_id] = now

    def start(self) -> None:
        """Write at every interval; call once, inside the event loop."""
        self._background.start(self._write_for_ever(), "last-used")

    async def close(self) -> None:
        """Stop, and write what is noted."""
        if not await self._background.close():
            return
        await self._try_to_write()

    async def write(self) -> int:
        """Write the hours that changed, in one transaction; how many there were."""
        noted, self._noted = self._noted, {}
        hours = {key_id: int(at // HOUR) for key_id, at in noted.items()}
        new = {key_id: hour for key_id, hour in hours.items() if self._written.get(key_id) != hour}
        if not new:
            return 0
        rows = [{"key": key_id, "hour": datetime.fromtimestamp(hour * HOUR, UTC)} for key_id, hour in new.items()]
        try:
            async with writing(self._engine) as connection:
                await connection.execute(LATER, rows)
        except BaseException:
            self._noted = noted | self._noted
            raise
        newest = int(self._clock() // HOUR)
        self._written = {key_id: hour for key_id, hour in (self._written | new).items() if hour >= newest - 1}
        return len(new)

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._interval_seconds)
            await self._try_to_write()

    async def _try_to_write(self) -> None:
        try:
            await self.write()
        except (SQLAlchemyError, OSError) as error:
            log.warning("when keys were last used could not be written: %s", type(error).__name__)

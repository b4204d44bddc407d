"""What keeps leases honest: renewed while used, returned when idle or wanted, taken back from the dead; expiry."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.sections.ledger import LedgerSettings
from configs.sections.workers import WorkerSettings
from gateway.background import Background
from gateway.ledger.leases import close_lease, of_dead_workers, renew, return_part, standing
from gateway.ledger.ledger import Ledger
from gateway.ledger.postings import expire_grants
from gateway.ledger.purse import Block
from gateway.tokens import TokenCounter
from gateway.workers.worker import Worker

log = logging.getLogger("opcgate.ledger")
OTHERS_EVERY = 5
WANTED_FOR = timedelta(seconds=10)


@asynccontextmanager
async def running_ledger(
    engine: AsyncEngine,
    settings: LedgerSettings,
    workers: WorkerSettings,
    worker: Worker,
    tokens: TokenCounter,
    clock: Callable[[], float],
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Ledger]:
    """The ledger of this worker with its upkeep; at the end, what no request holds is returned."""
    ledger = Ledger(engine, settings, worker, tokens, clock, monotonic)
    upkeep = Upkeep(ledger, worker, workers, clock, monotonic)
    upkeep.start()
    try:
        yield ledger
    finally:
        await upkeep.close()


class Upkeep:
    """The ledger's background task in one worker. Every step is safe to repeat and to interrupt."""

    def __init__(
        self,
        ledger: Ledger,
        worker: Worker,
        workers: WorkerSettings,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._settings = ledger.settings
        self._worker = worker
        self._dead_after = timedelta(seconds=workers.dead_after_seconds)
        self._clock = clock
        self._monotonic = monotonic
        self._renew_at = 0.0
        self._background = Background()

    def start(self) -> None:
        """Begin; call once, inside the event loop."""
        self._background.start(self._for_ever(), "ledger upkeep")

    async def close(self) -> None:
        """Stop, and return everything that no request holds. What is left is taken back by the others."""
        await self._background.close()
        try:
            for block in self._ledger.purse.all():
                block.closing = True
            await self._close_blocks()
        except (SQLAlchemyError, OSError) as error:
            log.warning("leases could not be returned, they will be taken back: %s", type(error).__name__)

    async def _for_ever(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(self._settings.upkeep_seconds)
            try:
                await self.own_leases()
                if rounds % OTHERS_EVERY == 0:
                    await self.others()
            except (SQLAlchemyError, OSError) as error:
                log.warning("the ledger's upkeep failed, it will be tried again: %s", type(error).__name__)
            rounds += 1

    async def own_leases(self) -> None:
        """Renew this worker's leases, return what is idle, wanted or withdrawn, forget what others took back."""
        purse, now = self._ledger.purse, self._now()
        before = self._monotonic()
        blocks = {one.taken.lease_id: one for one in purse.all()}
        rows = await self._ledger.transaction(lambda db: standing(db, now, self._worker.id, WANTED_FOR))
        known = {one.lease_id for one in rows}
        for lease_id, block in blocks.items():
            if lease_id not in known:
                block.closing = True  # taken back, or never committed: the database has the last word
            elif not block.closing and not block.held and before - block.used_at > self._settings.idle_seconds:
                block.closing = True
        for row in rows:
            own = blocks.get(row.lease_id)
            if own is None and row.until < now:
                await self._ledger.transaction(partial(close_lease, now=now, lease_id=row.lease_id))
            elif own is not None:
                await self._heed(own, usable=row.usable, wanted=row.wanted)
        await self._close_blocks()
        await self._renew(now, before)

    async def _heed(self, block: Block, *, usable: bool, wanted: bool) -> None:
        """Return a block's free part when others need it, and all of it when its grant is withdrawn or expired."""
        if not usable or (wanted and not block.held):
            block.closing = True
        elif wanted and block.free and not block.closing:
            amount, block.free = block.free, 0
            try:
                done = await self._ledger.transaction(
                    lambda db: return_part(db, self._now(), block.taken.lease_id, amount)
                )
            except BaseException:
                block.closing = True  # whether it was returned, only the database knows
                raise
            if not done:
                block.closing = True

    async def _close_blocks(self) -> None:
        for block in self._ledger.purse.all():
            if block.closing and not block.held:
                await self._ledger.transaction(partial(close_lease, now=self._now(), lease_id=block.taken.lease_id))
                self._ledger.purse.remove(block)

    async def _renew(self, now: datetime, before: float) -> None:
        if before < self._renew_at:
            return
        blocks = self._ledger.purse.all()
        if blocks:
            until = now + timedelta(seconds=self._settings.lease_seconds)
            ids = [one.taken.lease_id for one in blocks]
            await self._ledger.transaction(lambda db: renew(db, ids, until))
            for block in blocks:
                block.usable_until = before + self._settings.lease_seconds
        self._renew_at = before + self._settings.lease_seconds / 3

    async def others(self) -> None:
        """Take back what dead workers left, and let what is past its time expire."""
        now = self._now()
        dead = await self._ledger.transaction(lambda db: of_dead_workers(db, now, self._dead_after))
        for lease_id in dead:
            await self._ledger.transaction(partial(self._take_back, now=now, lease_id=lease_id))
        while await self._ledger.transaction(lambda db: expire_grants(db, now)):
            pass

    def _take_back(self, connection: Connection, now: datetime, lease_id: str) -> None:
        amount = close_lease(connection, now, lease_id)
        log.warning("lease %s of a dead worker was taken back with %d left", lease_id, amount)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

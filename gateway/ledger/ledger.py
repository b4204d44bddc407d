"""The vouchers of this worker's callers: a request holds what it may cost before anything is done for it."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.sections.ledger import LedgerSettings
from gateway.errors import QuotaSpent, RecordFailed
from gateway.ledger.allowance import ensure_allowance
from gateway.ledger.amounts import format_amount, parse_amount
from gateway.ledger.group import Charge, LedgerPart
from gateway.ledger.hold import Hold
from gateway.ledger.leases import Taken, Wish, fitting, left_elsewhere, take_lease, want
from gateway.ledger.postings import Unit
from gateway.ledger.prices import Price, Prices
from gateway.ledger.purse import Block, Draw, Purse
from gateway.store import in_time, writing
from gateway.tenants.keys import Caller
from gateway.tokens import TokenCounter, TokenEstimate
from gateway.workers.worker import Worker
from models.catalog import ServedModel

__all__ = ["Charge", "Hold", "Ledger"]

T = TypeVar("T")
log = logging.getLogger("opcgate.ledger")
REFUSED_FOR_SECONDS = 1.0
REFUSALS = 10_000
ASK_AGAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class _Refused:
    need: int
    until: float
    message: str


@dataclass(frozen=True, slots=True)
class _Left:
    """What a holder has for a model: available to all, free in this worker, set aside by others."""

    available: int
    here: int
    elsewhere: int

    @property
    def all(self) -> int:
        """Everything that is not spent or held here."""
        return self.available + self.here + self.elsewhere


@dataclass(frozen=True, slots=True)
class _Ask:
    """What a request needs, and whose vouchers it may spend where."""

    holder: str
    unit: Unit
    model: str
    need: int
    region: str | None


class Ledger:
    """Holds requests' costs in memory, from blocks that are leased from the database a few at a time."""

    def __init__(
        self,
        engine: AsyncEngine,
        settings: LedgerSettings,
        worker: Worker,
        tokens: TokenCounter,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.purse = Purse()
        self.part = LedgerPart(clock)
        self.prices = Prices(settings)
        self.settings = settings
        self._engine = engine
        self._worker = worker
        self._tokens = tokens
        self._clock = clock
        self._monotonic = monotonic
        self._locks: dict[str, asyncio.Lock] = {}
        self._refused: dict[tuple[str, Unit, str], _Refused] = {}
        self._blocks: dict[Unit, int] = {
            "voucher": parse_amount(settings.lease_units),
            "tokens": settings.lease_free_tokens,
            "requests": settings.lease_free_requests,
        }

    async def hold(self, caller: Caller, model: ServedModel, estimate: TokenEstimate) -> Hold:
        """Set aside what the request may cost at most. Raises QuotaSpent, and RecordFailed without a database."""
        holder, region = caller.holder, caller.region or self.settings.region
        price = self.prices.of(*model.lineage)
        held: list[Draw] = []
        try:
            for unit, need in self._needs(price, estimate):
                held += self._draw(holder, unit, model.id, need) or await self._lease(
                    _Ask(holder, unit, model.id, need, region)
                )
        except BaseException:
            for draw in held:
                self.purse.settle(draw, known=True)
            raise
        return Hold(
            holder=holder,
            model=model.id,
            region=region,
            context=model.base.context_tokens,
            estimate=estimate,
            price=price,
            draws=held,
            more=lambda unit, need: self._draw(holder, unit, model.id, need),
            settle_draw=self.purse.settle,
            count=lambda text: self._tokens.count_text(text, model),
        )

    def _needs(self, price: Price | None, estimate: TokenEstimate) -> list[tuple[Unit, int]]:
        if price is not None:
            most = price.most(estimate)
            return [("voucher", most)] if most else []
        needs: list[tuple[Unit, int]] = []
        if self.settings.free_daily_requests is not None:
            needs.append(("requests", 1))
        if self.settings.free_daily_tokens is not None and estimate.total:
            needs.append(("tokens", estimate.total))
        return needs

    def _draw(self, holder: str, unit: Unit, model: str, need: int) -> list[Draw] | None:
        return self.purse.draw(holder, unit, model, need, self._clock(), self._monotonic())

    async def _lease(self, ask: _Ask) -> list[Draw]:
        """Lease until the request is covered. Requests of one holder wait for each other here, not for the others."""
        self._refuse_again(ask)
        lock = self._locks.setdefault(ask.holder, asyncio.Lock())
        try:
            async with in_time(self._engine), lock:
                return await self._lease_enough(ask)
        except (SQLAlchemyError, OSError) as error:
            raise RecordFailed("Vouchers can't be looked up now; try again. 暂时无法核对算力券，请重试。") from error
        finally:
            if not lock.locked() and self._locks.get(ask.holder) is lock:
                self._locks.pop(ask.holder, None)

    async def _lease_enough(self, ask: _Ask) -> list[Draw]:
        give_up = self._monotonic() + self.settings.wait_for_others_seconds
        while True:
            self._refuse_again(ask)
            while (draws := self._draw(ask.holder, ask.unit, ask.model, ask.need)) is None:
                if not await self._take(ask):
                    break
            if draws is not None:
                return draws
            left = await self._left(ask)
            # What others gave back since `_take` looked is free now, so enough in all is worth another look.
            if left.all < ask.need or self._monotonic() >= give_up:
                message = _why(ask, left)
                if len(self._refused) > REFUSALS:
                    self._refused.clear()
                until = self._monotonic() + REFUSED_FOR_SECONDS
                self._refused[ask.holder, ask.unit, ask.model] = _Refused(ask.need, until, message)
                raise QuotaSpent(message)
            await asyncio.sleep(ASK_AGAIN_SECONDS)

    def _refuse_again(self, ask: _Ask) -> None:
        """Say at once what was true a moment ago, so that a spent holder's retries don't ask the database."""
        refused = self._refused.get((ask.holder, ask.unit, ask.model))
        if refused and ask.need >= refused.need and self._monotonic() < refused.until:
            raise QuotaSpent(refused.message)

    async def _take(self, ask: _Ask) -> bool:
        """Lease one more block; False when nothing is available. A caller that leaves can't lose the block."""
        return await asyncio.shield(asyncio.create_task(self._take_block(ask)))

    async def _take_block(self, ask: _Ask) -> bool:
        now, began = datetime.fromtimestamp(self._clock(), UTC), self._monotonic()
        wish = self._wish(ask, now)
        limit = self.settings.free_daily_tokens if ask.unit == "tokens" else self.settings.free_daily_requests

        def take(connection: Connection) -> Taken | None:
            if ask.unit != "voucher" and limit is not None:
                ensure_allowance(connection, now, wish, limit, self.settings.day_utc_offset_hours)
            return take_lease(connection, now, wish)

        taken = await self.transaction(take)
        if taken is None:
            return False
        usable_until = began + self.settings.lease_seconds
        self.purse.add(ask.holder, Block(taken, ask.unit, taken.amount, usable_until, self._monotonic()))
        return True

    def _wish(self, ask: _Ask, now: datetime) -> Wish:
        return Wish(
            holder=ask.holder,
            unit=ask.unit,
            model=ask.model,
            region=ask.region,
            need=max(1, ask.need - self._here(ask)),
            block=self._blocks[ask.unit],
            worker=self._worker.id,
            workers=self._worker.alive,
            until=now + timedelta(seconds=self.settings.lease_seconds),
        )

    def _here(self, ask: _Ask) -> int:
        return self.purse.free(ask.holder, ask.unit, ask.model, self._clock(), self._monotonic())

    async def _left(self, ask: _Ask) -> _Left:
        """What there is besides; other workers are asked to return what they don't need, if that would help."""
        now, here = datetime.fromtimestamp(self._clock(), UTC), self._here(ask)

        def look(connection: Connection) -> _Left:
            grants = fitting(connection, now, self._wish(ask, now), available=False)
            ids = [one.id for one in grants]
            elsewhere = left_elsewhere(connection, self._worker.id, ids)
            left = _Left(sum(one.available for one in grants), here, elsewhere)
            if elsewhere and left.all >= ask.need:
                want(connection, now, ids)
            return left

        return await self.transaction(look)

    async def transaction(self, work: Callable[[Connection], T]) -> T:
        """Do something in one write transaction."""
        async with writing(self._engine) as connection:
            return await connection.run_sync(work)


def _why(ask: _Ask, left: _Left) -> str:
    there = left.available + left.here
    if ask.unit == "voucher":
        need = format_amount(ask.need)
        return (
            f"This request to '{ask.model}' may cost up to {need} voucher units, and {format_amount(there)} are left "
            f"for it ({format_amount(left.elsewhere)} more are set aside for other requests). Ask for fewer tokens "
            f"with max_tokens, or redeem a voucher. 算力券余额不足：本次最多需 {need}，可用 {format_amount(there)}。"
        )
    zh = "个 token" if ask.unit == "tokens" else "次请求"
    return (
        f"The free daily allowance of '{ask.model}' has {there} {ask.unit} left ({left.elsewhere} more are set aside "
        f"for other requests), and this request may need {ask.need}. It is renewed at midnight. "
        f"今日免费额度不足：剩余 {there} {zh}，本次最多需 {ask.need}。"
    )

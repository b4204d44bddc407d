"""What is set aside for one request from its admission until its row is committed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.ledger.billing import Billed, billed_tokens
from gateway.ledger.group import Charge, Portion
from gateway.ledger.postings import Unit
from gateway.ledger.prices import Price
from gateway.ledger.purse import Draw
from gateway.record import RequestEntry
from gateway.tokens import TokenEstimate

More = Callable[[Unit, int], list[Draw] | None]
"""Draws so much more of a unit from what the worker has in memory; None when it hasn't got it."""


@dataclass(slots=True, eq=False)
class Hold:
    """One request's share of the worker's leases. `price` None: the model is free, its tokens are counted."""

    holder: str
    model: str
    region: str | None
    context: int
    estimate: TokenEstimate
    price: Price | None
    draws: list[Draw]
    more: More
    settle_draw: Callable[..., None]
    count: Callable[[str], int | None]
    _released: bool = field(default=False, init=False)
    _waived: bool = field(default=False, init=False)

    def charge(self, entry: RequestEntry) -> Charge | None:
        """What the request really costs; the entry's cost and missing token counts are filled in. None for nothing."""
        billed = billed_tokens(entry, self.estimate, self.context, self.count)
        costs = self._costs(billed)
        portions: list[Portion] = []
        for unit, cost in costs.items():
            portions += self._portions(unit, cost)
        entry.cost = sum(one.amount for one in portions if one.unit == "voucher")
        return Charge(entry.id, self.holder, self.model, self.region, tuple(portions)) if portions else None

    def _costs(self, billed: Billed) -> dict[Unit, int]:
        if self.price is not None:
            return {"voucher": self.price.cost(billed.prompt, billed.cached, billed.output)}
        return {"tokens": billed.total, "requests": 1 if billed.total else 0}

    def _portions(self, unit: Unit, cost: int) -> list[Portion]:
        """The cost, taken from what is held in the order of expiry. More than that only if the worker has it."""
        own = [one for one in self.draws if one.block.unit == unit]
        missing = cost - sum(one.amount for one in own)
        if own and missing > 0:
            extra = self.more(unit, missing) or []
            self.draws += extra
            own += extra
        portions = []
        for draw in own:
            draw.charged = min(cost, draw.amount)
            cost -= draw.charged
            if draw.charged:
                taken = draw.block.taken
                portions.append(Portion(taken.lease_id, taken.grant_id, unit, draw.charged))
        return portions

    def settled(self, written: asyncio.Future[None]) -> None:
        """Called when the request's row is written, or is known not to be, or nobody knows."""
        committed = not written.cancelled() and written.exception() is None
        self.release(committed=committed and not self._waived)

    def waive(self) -> None:
        """The charge is taken back while it is being written: whether it was in time, only the database knows."""
        self._waived = True

    def release(self, *, committed: bool) -> None:
        """Give back what was not charged; once only. Not `committed`: a lease that pays is asked about and closed."""
        if self._released:
            return
        self._released = True
        for draw in self.draws:
            self.settle_draw(draw, known=committed or not draw.charged)

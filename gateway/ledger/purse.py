"""The leases of one worker in memory: requests hold parts of them without asking the database."""

from dataclasses import dataclass, field

from gateway.ledger.leases import Taken
from gateway.ledger.postings import Unit


@dataclass(slots=True, eq=False)
class Block:
    """One lease as its worker knows it: `free` may be held, `held` is held by requests that aren't settled.

    `usable_until` is on the monotonic clock: past it others may take the lease back. A `closing` block takes no new
    holds; once nothing is held, the database says what is left of it.
    """

    taken: Taken
    unit: Unit
    free: int
    usable_until: float
    used_at: float
    held: int = 0
    closing: bool = False

    def fits(self, model: str, wall: float, monotonic: float) -> bool:
        """Whether a request for the model may hold some of it now."""
        taken = self.taken
        return (
            self.free > 0
            and not self.closing
            and monotonic < self.usable_until
            and taken.valid_from <= wall < taken.valid_until
            and (taken.models is None or model in taken.models)
        )


@dataclass(slots=True, eq=False)
class Draw:
    """What one request holds of one block, and how much of it is to be charged."""

    block: Block
    amount: int
    charged: int = 0


@dataclass(slots=True)
class Purse:
    """All blocks of a worker, by holder; those of the grant that expires first come first."""

    blocks: dict[str, list[Block]] = field(default_factory=dict)

    def draw(self, holder: str, unit: Unit, model: str, need: int, wall: float, monotonic: float) -> list[Draw] | None:
        """Hold exactly `need`, of several blocks where it must be; None when there isn't so much."""
        found = [one for one in self.blocks.get(holder, ()) if one.unit == unit and one.fits(model, wall, monotonic)]
        draws = []
        for block in found:
            amount = min(need, block.free)
            block.free -= amount
            block.held += amount
            block.used_at = monotonic
            draws.append(Draw(block, amount))
            need -= amount
            if not need:
                return draws
        for draw in draws:
            draw.block.free += draw.amount
            draw.block.held -= draw.amount
        return None

    def free(self, holder: str, unit: Unit, model: str, wall: float, monotonic: float) -> int:
        """How much could be held now."""
        blocks = self.blocks.get(holder, ())
        return sum(one.free for one in blocks if one.unit == unit and one.fits(model, wall, monotonic))

    def settle(self, draw: Draw, *, known: bool) -> None:
        """A request is over: what it did not pay is free again. Not `known`: only the database can say what it paid."""
        draw.block.held -= draw.amount
        draw.block.free += draw.amount - draw.charged
        if not known:
            draw.block.closing = True

    def add(self, holder: str, block: Block) -> None:
        """Take a new block in."""
        blocks = self.blocks.setdefault(holder, [])
        blocks.append(block)
        blocks.sort(key=lambda one: one.taken.order)

    def remove(self, block: Block) -> None:
        """Forget a block."""
        for holder, blocks in list(self.blocks.items()):
            if block in blocks:
                blocks.remove(block)
                if not blocks:
                    del self.blocks[holder]

    def all(self) -> list[Block]:
        """Every block."""
        return [block for blocks in self.blocks.values() for block in blocks]

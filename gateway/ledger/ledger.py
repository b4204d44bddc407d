"""What a request costs: held before it is served, charged when it is settled."""

from dataclasses import dataclass

from gateway.record import RequestEntry
from gateway.tenants.keys import Caller
from gateway.tokens import TokenEstimate
from models.catalog import ServedModel


@dataclass(frozen=True, slots=True)
class Charge:
    """What one settled request takes from which grant, in millionths of a voucher unit."""

    request_id: str
    tenant: str
    amount: int


class Hold:
    """What is set aside for one request until it is settled."""

    def charge(self, entry: RequestEntry) -> Charge | None:
        """What the request really costs; None for nothing."""
        return None

    def release(self, *, committed: bool) -> None:
        """Give back what was not charged. `committed` says whether the charge is known to be in the database."""


class Ledger:
    """The vouchers of this worker's callers."""

    async def hold(self, caller: Caller, model: ServedModel, estimate: TokenEstimate) -> Hold | None:
        """Set aside what the request may cost; None when it costs nothing. Raises QuotaSpent."""
        return None

"""Prices: what tokens of a model cost, in whole millionths of a voucher unit."""

from dataclasses import dataclass
from decimal import Decimal

from configs.sections.ledger import LedgerSettings, PriceSettings
from gateway.tokens import TokenEstimate

NANO = 10**9
PER = 1_000_000
"""Prices are in billionths of a unit for 1,000 tokens, costs in millionths: 1,000 tokens x 1,000."""


@dataclass(frozen=True, slots=True)
class Price:
    """Billionths of a voucher unit for 1,000 tokens of the prompt, of its cached part, and of the answer."""

    prompt: int
    cached: int
    output: int

    @classmethod
    def of(cls, settings: PriceSettings) -> "Price":
        prompt, output = (int(Decimal(one) * NANO) for one in (settings.prompt, settings.output))
        cached = prompt if settings.cached is None else int(Decimal(settings.cached) * NANO)
        return cls(prompt, cached, output)

    def cost(self, prompt: int, cached: int, output: int) -> int:
        """Millionths of a unit for a request, rounded up once. `cached` tokens are a part of `prompt`."""
        total = (prompt - cached) * self.prompt + cached * self.cached + output * self.output
        return -(-total // PER)

    def most(self, estimate: TokenEstimate) -> int:
        """The most that a request with this estimate can cost."""
        return self.cost(estimate.prompt, 0, estimate.output)


class Prices:
    """The prices of a deployment by model id; a model without one is free."""

    def __init__(self, settings: LedgerSettings) -> None:
        self.by_model = {model: Price.of(one) for model, one in settings.prices.items()}

    def of(self, *lineage: str) -> Price | None:
        """A model's price, else the nearest one of what it is made from (`ServedModel.lineage`). None is free."""
        return next((self.by_model[one] for one in lineage if one in self.by_model), None)

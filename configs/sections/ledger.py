"""Settings of compute vouchers: prices, free allowances, leases. See docs/vouchers.md."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from configs.strict import Strict

MAX_PRICE = Decimal(1_000_000)


def _written_out(value: object) -> object:
    """A decimal written as text: YAML's floats would round it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError("write the number in quotes, like '0.25', so that nothing rounds it")
    return value


def _is_price(value: str) -> str:
    try:
        price = Decimal(value)
    except InvalidOperation:
        raise ValueError("write a decimal number, like '0.25'") from None
    exponent = price.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -9 or not 0 <= price <= MAX_PRICE:
        raise ValueError("a price is between 0 and 1000000 with at most 9 decimals")
    return value


DecimalText = Annotated[str, BeforeValidator(_written_out), AfterValidator(_is_price)]


class PriceSettings(Strict):
    """What 1,000 tokens of one model cost in voucher units. `cached` defaults to `prompt` and is never above it."""

    prompt: DecimalText
    output: DecimalText
    cached: DecimalText | None = None

    def model_post_init(self, _context: object) -> None:
        if self.cached is not None and Decimal(self.cached) > Decimal(self.prompt):
            raise ValueError("cached: a cached token can't cost more than one that is not")


class LedgerSettings(Strict):
    """Compute vouchers. `prices` by model id; models without one are free within the daily limits (null: no limit).

    `lease_units` is the most that a worker sets aside at once, `lease_seconds` how long it may keep it without a sign
    of life, `upkeep_seconds` how often leases are renewed, returned and taken back. Days begin at midnight of
    `day_utc_offset_hours`. `region` is the region that vouchers bound to one must name to be spent here.
    """

    prices: dict[str, PriceSettings] = Field(default_factory=dict)
    free_daily_tokens: int | None = Field(1_000_000_000, ge=1)
    free_daily_requests: int | None = Field(10_000_000, ge=1)
    region: str | None = None
    lease_units: DecimalText = "10"
    lease_free_tokens: int = Field(2_000_000, ge=1)
    lease_free_requests: int = Field(2_000, ge=1)
    lease_seconds: float = Field(30.0, gt=0)
    idle_seconds: float = Field(10.0, gt=0)
    upkeep_seconds: float = Field(1.0, gt=0)
    wait_for_others_seconds: float = Field(2.5, ge=0)
    day_utc_offset_hours: int = Field(8, ge=-12, le=14)
    redeem_failures_per_minute: int = Field(5, ge=1)

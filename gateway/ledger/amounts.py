"""Amounts are whole millionths of a voucher unit; people read and write them as decimals."""

from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow

UNIT = 1_000_000
MAX_AMOUNT = 10**15
"""A thousand million units: sums of many grants still fit 64 bits."""


def parse_amount(text: str) -> int:
    """Millionths of a unit from a decimal like `12.5`. Raises ValueError when it isn't positive, exact and sane."""
    try:
        amount = Context(prec=60, traps=[InvalidOperation, Inexact, Overflow]).multiply(Decimal(text.strip()), UNIT)
    except Inexact:
        raise ValueError("the amount has more digits than any voucher; write it with at most 6 decimals") from None
    except InvalidOperation:
        raise ValueError("write a decimal number of voucher units, like 12.5") from None
    if not amount.is_finite() or amount != amount.to_integral_value():
        raise ValueError("at most 6 decimals are kept; write fewer")
    if not 0 < amount <= MAX_AMOUNT:
        raise ValueError("the amount must be above 0 and at most 1000000000 units")
    return int(amount)


def format_amount(micros: int) -> str:
    """The decimal that people read: 12500000 is `12.5`, and -1 is `-0.000001`."""
    whole, rest = divmod(abs(micros), UNIT)
    text = f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
    return f"-{text}" if micros < 0 else text

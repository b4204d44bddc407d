"""What the control API takes and gives for vouchers. Amounts: whole millionths of a unit, and a decimal beside them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from configs.sections.catalog import ModelId
from gateway.ledger.amounts import format_amount, parse_amount
from gateway.ledger.tables import BALANCES, Grant
from gateway.tenants.shapes import Moment, Short


def _units(text: str) -> str:
    parse_amount(text)
    return text


def _printable(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("write visible characters on one line")
    return text.strip()


Units = Annotated[str, Field(max_length=40, description="Voucher units, like 12.5. / 券面额。"), AfterValidator(_units)]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]
Models = Annotated[list[ModelId], Field(min_length=1, max_length=200)]


class Body(BaseModel):
    """A body that a caller sends: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class NewVoucher(Body):
    """A grant to be made. `models` null is for all models, `region` null for all regions."""

    tenant: str = Field(min_length=1, max_length=60)
    issuer: Name
    number: Name
    units: Units
    valid_from: Moment
    valid_until: Moment
    models: Models | None = None
    region: Short | None = None


class NewCodes(Body):
    """A batch of redeem codes; codes and the vouchers they become are valid until the same moment."""

    count: int = Field(ge=1, le=10_000)
    issuer: Name
    units: Units
    valid_until: Moment
    models: Models | None = None
    region: Short | None = None


class RedeemedCode(Body):
    """The code as it was printed."""

    code: str = Field(min_length=1, max_length=100)


class Money(BaseModel):
    """An amount: millionths of a unit, and the same as a decimal."""

    amount: int
    units: str


def money(micros: int) -> Money:
    """An amount as it is shown."""
    return Money(amount=micros, units=format_amount(micros))


class Voucher(BaseModel):
    """A grant as it is shown. amount = available + reserved + spent + expired + withdrawn."""

    object: Literal["voucher"] = "voucher"
    id: str
    tenant: str
    issuer: str
    number: str
    state: str
    amount: Money
    available: Money
    reserved: Money
    spent: Money
    expired: Money
    withdrawn: Money
    valid_from: Moment
    valid_until: Moment
    models: list[str] | None
    region: str | None
    created_at: Moment
    created_by: str


def shown(row: Any) -> Voucher:
    """A grant's row as it is shown."""
    plain = ("id", "tenant", "issuer", "number", "state", "valid_from", "valid_until", "models", "region")
    values = {name: getattr(row, name) for name in (*plain, "created_at", "created_by")}
    return Voucher(**values, **{name: money(getattr(row, name)) for name in ("amount", *BALANCES)})


class Codes(BaseModel):
    """New codes; they are shown this once."""

    object: Literal["voucher_codes"] = "voucher_codes"
    batch: str
    codes: list[str]


class Allowance(BaseModel):
    """What is left today of a free model."""

    model: str
    unit: Literal["tokens", "requests"]
    limit: int
    available: int
    reserved: int
    spent: int
    renewed_at: datetime


class ShownBalance(BaseModel):
    """What a holder has. `reserved` is set aside for requests under way, or by workers for the next ones."""

    object: Literal["balance"] = "balance"
    tenant: str
    available: Money
    reserved: Money
    vouchers: list[Voucher]
    allowances: list[Allowance]


def allowance(row: Grant) -> Allowance:
    """A day's allowance as it is shown."""
    unit: Literal["tokens", "requests"] = "tokens" if row.unit == "tokens" else "requests"
    return Allowance(
        model=(row.models or [""])[0],
        unit=unit,
        limit=row.amount,
        available=row.available,
        reserved=row.reserved,
        spent=row.spent,
        renewed_at=row.valid_until,
    )


class ShownPrice(BaseModel):
    """A model's price in voucher units for 1,000 tokens."""

    model: str
    prompt: str
    cached: str
    output: str

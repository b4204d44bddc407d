"""Tables of the ledger: grants with their balances, leases of workers, transfers, redeem codes.

A grant's row carries the balances of its accounts; every change of one is also a row of `voucher_transfers`, written
in the same transaction. Free daily allowances are grants too, in tokens or requests instead of voucher units.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, DateTime, Integer, String, TypeDecorator, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapped, mapped_column

from gateway.store import Base


class Moment(TypeDecorator[datetime]):
    """A moment in UTC; SQLite keeps no time zone, so it is put back when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


BALANCES = ("available", "reserved", "spent", "expired", "withdrawn")
ADDS_UP = "amount = available + reserved + spent + expired + withdrawn"
NOT_NEGATIVE = " AND ".join(f"{name} >= 0" for name in BALANCES)


class Grant(Base):
    """One voucher of one holder. `number` is unique for its issuer; `unit` is voucher, tokens or requests."""

    __tablename__ = "voucher_grants"
    __table_args__ = (
        UniqueConstraint("issuer", "number", name="uq_voucher_grants_number"),
        CheckConstraint(ADDS_UP, name="ck_voucher_grants_adds_up"),
        CheckConstraint(NOT_NEGATIVE, name="ck_voucher_grants_not_negative"),
        CheckConstraint("amount > 0", name="ck_voucher_grants_amount"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(60), index=True)
    unit: Mapped[str] = mapped_column(String(10))
    issuer: Mapped[str] = mapped_column(String(100))
    number: Mapped[str] = mapped_column(String(250))
    amount: Mapped[int] = mapped_column(BigInteger)
    available: Mapped[int] = mapped_column(BigInteger)
    reserved: Mapped[int] = mapped_column(BigInteger)
    spent: Mapped[int] = mapped_column(BigInteger)
    expired: Mapped[int] = mapped_column(BigInteger)
    withdrawn: Mapped[int] = mapped_column(BigInteger)
    valid_from: Mapped[datetime] = mapped_column(Moment)
    valid_until: Mapped[datetime] = mapped_column(Moment, index=True)
    models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    region: Mapped[str | None] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(10))
    wanted_at: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment)
    created_by: Mapped[str] = mapped_column(String(100))


class Lease(Base):
    """A block of a grant that one worker has set aside; what is neither spent nor returned is still reserved."""

    __tablename__ = "voucher_leases"
    __table_args__ = (
        CheckConstraint(
            "amount > 0 AND spent >= 0 AND returned >= 0 AND spent + returned <= amount", name="ck_voucher_leases"
        ),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    grant_id: Mapped[str] = mapped_column(String(40), index=True)
    worker: Mapped[str] = mapped_column(String(40))
    amount: Mapped[int] = mapped_column(BigInteger)
    spent: Mapped[int] = mapped_column(BigInteger)
    returned: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(10), index=True)
    taken_at: Mapped[datetime] = mapped_column(Moment)
    until: Mapped[datetime] = mapped_column(Moment)


class Transfer(Base):
    """One movement inside a grant: `debit` gives, `credit` receives. Rows are never changed or deleted.

    Accounts are issuer, available, reserved, spent, expired and withdrawn; the last two belong to the issuer.
    """

    __tablename__ = "voucher_transfers"
    __table_args__ = (CheckConstraint("amount > 0 AND debit <> credit", name="ck_voucher_transfers"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment)
    grant_id: Mapped[str] = mapped_column(String(40), index=True)
    debit: Mapped[str] = mapped_column(String(10))
    credit: Mapped[str] = mapped_column(String(10))
    amount: Mapped[int] = mapped_column(BigInteger)
    lease_id: Mapped[str | None] = mapped_column(String(40))
    request_id: Mapped[str | None] = mapped_column(String(40))
    model: Mapped[str | None] = mapped_column(String(100))


class Code(Base):
    """A code that may be redeemed once for a grant; only its digest is stored."""

    __tablename__ = "voucher_codes"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    batch: Mapped[str] = mapped_column(String(40), index=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    issuer: Mapped[str] = mapped_column(String(100))
    amount: Mapped[int] = mapped_column(BigInteger)
    valid_until: Mapped[datetime] = mapped_column(Moment)
    models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    region: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(Moment)
    redeemed_at: Mapped[datetime | None] = mapped_column(Moment)
    redeemed_by: Mapped[str | None] = mapped_column(String(60))


class RedeemTries(Base):
    """How often a holder tried wrong codes in the running minute."""

    __tablename__ = "voucher_redeem_tries"

    tenant: Mapped[str] = mapped_column(String(60), primary_key=True)
    since: Mapped[datetime] = mapped_column(Moment)
    failures: Mapped[int] = mapped_column(Integer)

"""Compute vouchers: grants, leases, transfers that can't be changed, redeem codes."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

BALANCES = ("available", "reserved", "spent", "expired", "withdrawn")
NEVER = "voucher_transfers are never changed"


def upgrade() -> None:
    """Make the tables, and let the database itself refuse changes of transfers."""
    moment, amount = sa.DateTime(timezone=True), sa.BigInteger
    op.create_table(
        "voucher_grants",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("tenant", sa.String(60), nullable=False, index=True),
        sa.Column("unit", sa.String(10), nullable=False),
        sa.Column("issuer", sa.String(100), nullable=False),
        sa.Column("number", sa.String(250), nullable=False),
        sa.Column("amount", amount, nullable=False),
        *(sa.Column(name, amount, nullable=False) for name in BALANCES),
        sa.Column("valid_from", moment, nullable=False),
        sa.Column("valid_until", moment, nullable=False, index=True),
        sa.Column("models", sa.JSON),
        sa.Column("region", sa.String(40)),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("wanted_at", moment),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("created_by", sa.String(100), nullable=False),
        sa.UniqueConstraint("issuer", "number", name="uq_voucher_grants_number"),
        sa.CheckConstraint("amount = " + " + ".join(BALANCES), name="ck_voucher_grants_adds_up"),
        sa.CheckConstraint(" AND ".join(f"{name} >= 0" for name in BALANCES), name="ck_voucher_grants_not_negative"),
        sa.CheckConstraint("amount > 0", name="ck_voucher_grants_amount"),
    )
    op.create_table(
        "voucher_leases",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("grant_id", sa.String(40), nullable=False, index=True),
        sa.Column("worker", sa.String(40), nullable=False),
        sa.Column("amount", amount, nullable=False),
        sa.Column("spent", amount, nullable=False),
        sa.Column("returned", amount, nullable=False),
        sa.Column("state", sa.String(10), nullable=False, index=True),
        sa.Column("taken_at", moment, nullable=False),
        sa.Column("until", moment, nullable=False),
        sa.CheckConstraint(
            "amount > 0 AND spent >= 0 AND returned >= 0 AND spent + returned <= amount", name="ck_voucher_leases"
        ),
    )
    op.create_table(
        "voucher_transfers",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("at", moment, nullable=False),
        sa.Column("grant_id", sa.String(40), nullable=False, index=True),
        sa.Column("debit", sa.String(10), nullable=False),
        sa.Column("credit", sa.String(10), nullable=False),
        sa.Column("amount", amount, nullable=False),
        sa.Column("lease_id", sa.String(40)),
        sa.Column("request_id", sa.String(40)),
        sa.Column("model", sa.String(100)),
        sa.CheckConstraint("amount > 0 AND debit <> credit", name="ck_voucher_transfers"),
    )
    op.create_table(
        "voucher_codes",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("batch", sa.String(40), nullable=False, index=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("issuer", sa.String(100), nullable=False),
        sa.Column("amount", amount, nullable=False),
        sa.Column("valid_until", moment, nullable=False),
        sa.Column("models", sa.JSON),
        sa.Column("region", sa.String(40)),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("redeemed_at", moment),
        sa.Column("redeemed_by", sa.String(60)),
    )
    op.create_table(
        "voucher_redeem_tries",
        sa.Column("tenant", sa.String(60), primary_key=True),
        sa.Column("since", moment, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
    )
    _freeze_transfers(op.get_bind().dialect.name)


def _freeze_transfers(dialect: str) -> None:
    if dialect == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER voucher_transfers_no_{change.lower()} BEFORE {change} ON voucher_transfers "
                f"BEGIN SELECT RAISE(ABORT, '{NEVER}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION voucher_transfers_never() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{NEVER}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER voucher_transfers_no_change BEFORE UPDATE OR DELETE ON voucher_transfers "
        "FOR EACH ROW EXECUTE FUNCTION voucher_transfers_never()"
    )


def downgrade() -> None:
    """Take all of it back."""
    for table in ("redeem_tries", "codes", "transfers", "leases", "grants"):
        op.drop_table(f"voucher_{table}")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION voucher_transfers_never()")

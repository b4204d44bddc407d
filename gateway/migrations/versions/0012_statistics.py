"""Sums by day for statistics."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "request_sums",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("tenant", sa.String(60), primary_key=True),
        sa.Column("model", sa.String(100), primary_key=True),
        sa.Column("endpoint", sa.String(40), primary_key=True),
        sa.Column("outcome", sa.String(30), primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("completion_tokens", sa.BigInteger, nullable=False),
        sa.Column("cost", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "finding_sums",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("tenant", sa.String(60), primary_key=True),
        sa.Column("risk", sa.String(60), primary_key=True),
        sa.Column("direction", sa.String(10), primary_key=True),
        sa.Column("action", sa.String(20), primary_key=True),
        sa.Column("findings", sa.BigInteger, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("finding_sums")
    op.drop_table("request_sums")

"""Tables of limits."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "limits",
        sa.Column("kind", sa.String(10), primary_key=True),
        sa.Column("subject", sa.String(100), primary_key=True),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("tokens_per_minute", sa.BigInteger),
        sa.Column("concurrent_requests", sa.Integer),
    )
    op.create_table(
        "limit_windows",
        sa.Column("kind", sa.String(10), primary_key=True),
        sa.Column("subject", sa.String(100), primary_key=True),
        sa.Column("minute", sa.BigInteger, primary_key=True, index=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "limit_places",
        sa.Column("kind", sa.String(10), primary_key=True),
        sa.Column("subject", sa.String(100), primary_key=True),
        sa.Column("worker", sa.String(40), primary_key=True),
        sa.Column("held", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for name in ("limit_places", "limit_windows", "limits"):
        op.drop_table(name)

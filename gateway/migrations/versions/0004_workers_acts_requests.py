"""Workers, administrative acts, and what a request's record says besides."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ADDED = (
    sa.Column("tenant", sa.String(60)),
    sa.Column("worker", sa.String(40)),
    sa.Column("model_digest", sa.String(64)),
    sa.Column("region", sa.String(40)),
    sa.Column("cached_tokens", sa.Integer),
    sa.Column("cost", sa.BigInteger),
    sa.Column("covered", sa.JSON),
    sa.Column("attempts", sa.Integer),
    sa.Column("scan_seconds", sa.Float),
    sa.Column("queue_seconds", sa.Float),
)


def upgrade() -> None:
    """Make the tables and add the columns."""
    op.create_table(
        "workers",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("host", sa.String(100), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "acts",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("subject", sa.String(100), nullable=False, index=True),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    for column in ADDED:
        op.add_column("requests", column)
    op.create_index("ix_requests_tenant_started", "requests", ["tenant", "started_at"])


def downgrade() -> None:
    """Take all of it back."""
    op.drop_index("ix_requests_tenant_started", "requests")
    for column in reversed(ADDED):
        op.drop_column("requests", column.name)
    op.drop_table("acts")
    op.drop_table("workers")

"""Keys may name a policy and be suspended; requests name their policy and say when they broke it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BROKEN = sa.text("violation IS NOT NULL")


def upgrade() -> None:
    """Add the columns, and the indexes that a key's last violations are read by."""
    for column in (
        sa.Column("policy", sa.String(100)),
        sa.Column("tenant", sa.String(60)),
        sa.Column("suspended_at", sa.DateTime(timezone=True)),
        sa.Column("suspended_until", sa.DateTime(timezone=True)),
        sa.Column("suspended_why", sa.String(100)),
        sa.Column("restored_at", sa.DateTime(timezone=True)),
    ):
        op.add_column("api_keys", column)
    op.add_column("requests", sa.Column("policy", sa.Text))
    op.add_column("requests", sa.Column("violation", sa.String(10)))
    op.drop_index("ix_requests_key_id", "requests")
    op.create_index("ix_requests_key_started", "requests", ["key_id", "started_at"])
    op.create_index(
        "ix_requests_violations",
        "requests",
        ["key_id", "started_at"],
        sqlite_where=BROKEN,
        postgresql_where=BROKEN,
    )


def downgrade() -> None:
    """Take both back."""
    op.drop_index("ix_requests_violations", "requests")
    op.drop_index("ix_requests_key_started", "requests")
    op.create_index("ix_requests_key_id", "requests", ["key_id"])
    for name in ("violation", "policy"):
        op.drop_column("requests", name)
    for name in ("restored_at", "suspended_why", "suspended_until", "suspended_at", "tenant", "policy"):
        op.drop_column("api_keys", name)

"""Tables of routing: nodes added at run time and the states of all, and what workers see of them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "nodes",
        sa.Column("name", sa.String(50), primary_key=True),
        sa.Column("url", sa.String(300)),
        sa.Column("settings", sa.JSON),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.String(100), nullable=False),
    )
    op.create_table(
        "node_reports",
        sa.Column("worker", sa.String(40), primary_key=True),
        sa.Column("node", sa.String(50), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("ready", sa.JSON, nullable=False),
        sa.Column("breaker", sa.String(10), nullable=False),
        sa.Column("open", sa.Integer, nullable=False),
        sa.Column("running", sa.Integer),
        sa.Column("waiting", sa.Integer),
        sa.Column("kv_usage", sa.Float),
        sa.Column("problem", sa.String(200), nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("node_reports")
    op.drop_table("nodes")

"""The table of reports of the public."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "reports",
        sa.Column("number", sa.String(30), primary_key=True),
        sa.Column("secret_digest", sa.String(64), nullable=False),
        sa.Column("address_digest", sa.String(64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("state", sa.String(10), nullable=False, index=True),
        sa.Column("reason", sa.String(40), nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("content", sa.String(60)),
        sa.Column("request", sa.String(40), index=True),
        sa.Column("parts", sa.JSON, nullable=False),
        sa.Column("findings", sa.JSON, nullable=False),
        sa.Column("assigned_to", sa.String(100)),
        sa.Column("decision", sa.String(10)),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("decided_by", sa.String(100)),
        sa.Column("why", sa.Text),
        sa.Column("answer", sa.Text),
        sa.Column("duplicate_of", sa.String(30)),
        sa.Column("consequences", sa.JSON),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("reports")

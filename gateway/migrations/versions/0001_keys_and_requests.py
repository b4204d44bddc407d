"""API keys and request records."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(24), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("key_id", sa.String(24), index=True),
        sa.Column("endpoint", sa.String(40), nullable=False),
        sa.Column("model", sa.String(100)),
        sa.Column("node", sa.String(60)),
        sa.Column("streamed", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.String(30), nullable=False),
        sa.Column("error_code", sa.String(40)),
        sa.Column("prompt_tokens", sa.Integer),
        sa.Column("completion_tokens", sa.Integer),
        sa.Column("rules_version", sa.String(80), nullable=False),
        sa.Column("findings", sa.JSON, nullable=False),
        sa.Column("released", sa.JSON, nullable=False),
        sa.Column("first_byte_seconds", sa.Float),
        sa.Column("total_seconds", sa.Float, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("requests")
    op.drop_table("api_keys")

"""Agreements to unlabelled output, a key's own label position, and how each answer was labelled."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the agreements' table and add the columns."""
    op.create_table(
        "label_agreements",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key_id", sa.String(24), nullable=False, index=True),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("agreed_by", sa.String(100), nullable=False),
        sa.Column("agreed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True)),
    )
    op.add_column("api_keys", sa.Column("label_position", sa.String(10)))
    for column in (
        sa.Column("label_position", sa.String(10)),
        sa.Column("label_characters", sa.Integer),
        sa.Column("label_agreement", sa.Integer),
    ):
        op.add_column("requests", column)


def downgrade() -> None:
    """Take all of it back."""
    for name in ("label_agreement", "label_characters", "label_position"):
        op.drop_column("requests", name)
    op.drop_column("api_keys", "label_position")
    op.drop_table("label_agreements")

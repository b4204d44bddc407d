"""Organisations and members; what keys may do, from where, and their rotation. Keys without a tenant get one."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

DEFAULT = "default"
ADDED = (
    sa.Column("member", sa.String(24)),
    sa.Column("role", sa.String(10)),
    sa.Column("scopes", sa.JSON),
    sa.Column("models", sa.JSON),
    sa.Column("addresses", sa.JSON),
    sa.Column("notes", sa.String(500)),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("previous_digest", sa.String(64)),
    sa.Column("previous_until", sa.DateTime(timezone=True)),
    sa.Column("last_used_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    """Make the tables, add the columns, and give every tenant that keys name an organisation."""
    organisations = op.create_table(
        "organisations",
        sa.Column("id", sa.String(60), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("credit_code", sa.String(18), unique=True),
        sa.Column("contact", sa.String(200)),
        sa.Column("region", sa.String(40)),
        sa.Column("sector", sa.String(40)),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("policy", sa.String(100)),
        sa.Column("label_position", sa.String(10)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "members",
        sa.Column("id", sa.String(24), primary_key=True),
        sa.Column("organisation", sa.String(60), nullable=False, index=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("email", sa.String(200), nullable=False),
        sa.Column("role", sa.String(10), nullable=False),
        sa.Column("owner", sa.Boolean, nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_members_organisation_email", "members", ["organisation", "email"], unique=True)
    for column in ADDED:
        op.add_column("api_keys", column)
    op.create_index("ix_api_keys_previous_digest", "api_keys", ["previous_digest"], unique=True)
    op.create_index("ix_api_keys_tenant", "api_keys", ["tenant"])
    op.create_index("ix_api_keys_member", "api_keys", ["member"])
    op.add_column("requests", sa.Column("key_version", sa.Integer))
    keys = sa.table("api_keys", sa.column("tenant", sa.String))
    named = op.get_bind().execute(sa.select(keys.c.tenant).distinct()).scalars().all()
    op.execute(keys.update().where(keys.c.tenant.is_(None)).values(tenant=DEFAULT))
    now = datetime.now(UTC)
    op.bulk_insert(
        organisations,
        [
            {"id": one, "name": one, "status": "active", "created_at": now}
            for one in sorted({DEFAULT, *(name for name in named if name)})
        ],
    )


def downgrade() -> None:
    """Take all of it back."""
    keys = sa.table("api_keys", sa.column("tenant", sa.String))
    op.execute(keys.update().where(keys.c.tenant == DEFAULT).values(tenant=None))
    op.drop_column("requests", "key_version")
    for name in ("member", "tenant", "previous_digest"):
        op.drop_index(f"ix_api_keys_{name}", "api_keys")
    for column in reversed(ADDED):
        op.drop_column("api_keys", column.name)
    op.drop_table("members")
    op.drop_table("organisations")

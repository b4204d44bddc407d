"""Tables of the audit log, and what a record says of kept texts."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables; note how many records there were before the chain began."""
    op.create_table(
        "audit_links",
        sa.Column("writer", sa.String(40), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("subject", sa.String(60), nullable=False, index=True),
        sa.Column("record", sa.LargeBinary(32), nullable=False),
        sa.Column("previous", sa.LargeBinary(32), nullable=False),
        sa.Column("own", sa.LargeBinary(32), nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    heads = op.create_table(
        "audit_heads",
        sa.Column("writer", sa.String(40), primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("own", sa.LargeBinary(32), nullable=False),
    )
    op.create_table(
        "audit_signatures",
        sa.Column("writer", sa.String(40), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("own", sa.LargeBinary(32), nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("key_id", sa.String(12), nullable=False),
        sa.Column("signature", sa.LargeBinary(64), nullable=False),
    )
    op.create_table(
        "audit_keys",
        sa.Column("id", sa.String(12), primary_key=True),
        sa.Column("public", sa.String(43), nullable=False),
        sa.Column("since_us", sa.BigInteger, nullable=False),
        sa.Column("vouched_by", sa.String(12)),
        sa.Column("voucher", sa.LargeBinary(64)),
    )
    op.create_table(
        "audit_texts",
        sa.Column("owner", sa.String(60), primary_key=True),
        sa.Column("part", sa.String(10), primary_key=True),
        sa.Column("key_id", sa.String(20), nullable=False, index=True),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_leases",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("holder", sa.String(60), nullable=False),
        sa.Column("until_us", sa.BigInteger, nullable=False),
    )
    op.add_column("requests", sa.Column("prompt_text_digest", sa.String(64)))
    op.add_column("requests", sa.Column("answer_text_digest", sa.String(64)))
    connection = op.get_bind()
    counts = (connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar_one() for name in ("requests", "acts"))  # noqa: S608 - two fixed names
    op.bulk_insert(heads, [{"writer": "before", "seq": sum(counts), "own": bytes(32)}])


def downgrade() -> None:
    """Take all of it back."""
    op.drop_column("requests", "answer_text_digest")
    op.drop_column("requests", "prompt_text_digest")
    for name in ("leases", "texts", "keys", "signatures", "heads", "links"):
        op.drop_table(f"audit_{name}")

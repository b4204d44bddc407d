"""The tables of the audit log."""

from sqlalchemy import BigInteger, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from gateway.store import Base


class LinkRow(Base):
    """One link of a writer's chain; rows are never changed or deleted."""

    __tablename__ = "audit_links"

    writer: Mapped[str] = mapped_column(String(40), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(12))
    subject: Mapped[str] = mapped_column(String(60), index=True)
    record: Mapped[bytes] = mapped_column(LargeBinary(32))
    previous: Mapped[bytes] = mapped_column(LargeBinary(32))
    own: Mapped[bytes] = mapped_column(LargeBinary(32))
    at_us: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(Integer)


class HeadRow(Base):
    """The head of a chain that several processes write: its row is the lock. Also what the log began with."""

    __tablename__ = "audit_heads"

    writer: Mapped[str] = mapped_column(String(40), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    own: Mapped[bytes] = mapped_column(LargeBinary(32))


class SignatureRow(Base):
    """A signed head."""

    __tablename__ = "audit_signatures"

    writer: Mapped[str] = mapped_column(String(40), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    own: Mapped[bytes] = mapped_column(LargeBinary(32))
    at_us: Mapped[int] = mapped_column(BigInteger)
    key_id: Mapped[str] = mapped_column(String(12))
    signature: Mapped[bytes] = mapped_column(LargeBinary(64))


class SigningKeyRow(Base):
    """A public key that signs or signed heads; the key before it vouches for it, a first key stands alone."""

    __tablename__ = "audit_keys"

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    public: Mapped[str] = mapped_column(String(43))
    since_us: Mapped[int] = mapped_column(BigInteger)
    vouched_by: Mapped[str | None] = mapped_column(String(12))
    voucher: Mapped[bytes | None] = mapped_column(LargeBinary(64))


class TextRow(Base):
    """A kept text, encrypted with a key of its own, which is wrapped by the key `key_id`."""

    __tablename__ = "audit_texts"

    owner: Mapped[str] = mapped_column(String(60), primary_key=True)
    part: Mapped[str] = mapped_column(String(10), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(20), index=True)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class LeaseRow(Base):
    """Who does a job that only one worker at a time may do, and until when."""

    __tablename__ = "audit_leases"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    holder: Mapped[str] = mapped_column(String(60))
    until_us: Mapped[int] = mapped_column(BigInteger)

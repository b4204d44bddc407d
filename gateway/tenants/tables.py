"""The tables of organisations and their members; keys are in gateway/store.py."""

from datetime import datetime

from sqlalchemy import Boolean, DateTime, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from gateway.store import Base


class OrganisationRow(Base):
    """A tenant: a one-person company or a larger one. Rows are never deleted, since records name them."""

    __tablename__ = "organisations"

    id: Mapped[str] = mapped_column(String(60), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    credit_code: Mapped[str | None] = mapped_column(String(18), unique=True)
    contact: Mapped[str | None] = mapped_column(String(200))
    region: Mapped[str | None] = mapped_column(String(40))
    sector: Mapped[str | None] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(10))
    policy: Mapped[str | None] = mapped_column(String(100))
    label_position: Mapped[str | None] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class MemberRow(Base):
    """A person of an organisation, to whom keys belong."""

    __tablename__ = "members"
    __table_args__ = (Index("ix_members_organisation_email", "organisation", "email", unique=True),)

    id: Mapped[str] = mapped_column(String(24), primary_key=True)
    organisation: Mapped[str] = mapped_column(String(60), index=True)
    name: Mapped[str] = mapped_column(String(100))
    email: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(10))
    owner: Mapped[bool] = mapped_column(Boolean)
    status: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

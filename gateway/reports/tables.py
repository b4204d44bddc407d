"""The table of reports. What a reporter wrote is not in it: it is kept encrypted in `audit_texts`."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, DateTime, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.store import Base


class ReportRow(Base):
    """One report of the public, from receipt to decision. `request` is set where the content is one of ours."""

    __tablename__ = "reports"

    number: Mapped[str] = mapped_column(String(30), primary_key=True)
    secret_digest: Mapped[str] = mapped_column(String(64))
    address_digest: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    due_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    state: Mapped[str] = mapped_column(String(10), index=True)
    reason: Mapped[str] = mapped_column(String(40))
    language: Mapped[str] = mapped_column(String(2))
    content: Mapped[str | None] = mapped_column(String(60))
    request: Mapped[str | None] = mapped_column(String(40), index=True)
    parts: Mapped[list[str]] = mapped_column(JSON)
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    assigned_to: Mapped[str | None] = mapped_column(String(100))
    decision: Mapped[str | None] = mapped_column(String(10))
    decided_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    decided_by: Mapped[str | None] = mapped_column(String(100))
    why: Mapped[str | None] = mapped_column(Text)
    answer: Mapped[str | None] = mapped_column(Text)
    duplicate_of: Mapped[str | None] = mapped_column(String(30))
    consequences: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))

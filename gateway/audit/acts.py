"""Administrative acts: every change through the control API or the command line leaves a record with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, String, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from compliance.labels.ids import new_content_id
from gateway.store import Base


class ActRow(Base):
    """One act; rows are never changed."""

    __tablename__ = "acts"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    actor: Mapped[str] = mapped_column(String(100))
    action: Mapped[str] = mapped_column(String(60))
    subject: Mapped[str] = mapped_column(String(100), index=True)
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)


@dataclass(frozen=True, slots=True)
class Act:
    """Who did what to what. `actor` is a key's id or `cli:<user>`; `action` is like `keys.create`; no secrets."""

    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


async def record_act(connection: AsyncConnection, act: Act) -> None:
    """Write the act into the transaction that makes the change, so that neither is without the other."""
    now = datetime.now(UTC)
    await connection.execute(
        insert(ActRow).values(
            id="act_" + new_content_id(now.timestamp()),
            at=now,
            actor=act.actor,
            action=act.action,
            subject=act.subject,
            detail=dict(act.detail),
        )
    )

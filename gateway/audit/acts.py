"""Administrative acts: every change through the control API or the command line leaves a record with it.

Acts of all processes are on one chain, `control`. Its head is a row that the first writer locks until its transaction
ends, so acts that happen at once can't fork the chain; they are rare, so nobody waits for long.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, String, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from compliance.labels.ids import new_content_id
from gateway.audit.canonical import Canonical, microseconds
from gateway.audit.chain import GENESIS, Head, Kind
from gateway.audit.tables import HeadRow, LinkRow
from gateway.store import Base

CONTROL = "control"


class ActRow(Base):
    """One act; rows are never changed."""

    __tablename__ = "acts"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    actor: Mapped[str] = mapped_column(String(100))
    action: Mapped[str] = mapped_column(String(60))
    subject: Mapped[str] = mapped_column(String(100), index=True)
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)


ACTS = Canonical(ActRow.__table__)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Act:
    """Who did what to what. `actor` is a key's id or `cli:<user>`; `action` is like `keys.create`; no secrets."""

    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


async def record_act(connection: AsyncConnection, act: Act, kind: Kind = "act") -> str:
    """Write the act into the transaction that makes the change, so that neither is without the other; its id."""
    now = datetime.now(UTC)
    act_id = "act_" + new_content_id(now.timestamp())
    row = {
        "id": act_id,
        "at": now,
        "actor": act.actor,
        "action": act.action,
        "subject": act.subject,
        "detail": dict(act.detail),
    }
    head = await _locked_head(connection)
    link = head.link(CONTROL, kind, act_id, ACTS.digest(kind, row), microseconds(now))
    await connection.execute(insert(ActRow).values(row))
    await connection.execute(insert(LinkRow).values(link.columns()))
    moved = update(HeadRow).where(HeadRow.writer == CONTROL).values(seq=link.seq, own=link.own)
    await connection.execute(moved)
    return act_id


async def _locked_head(connection: AsyncConnection) -> Head:
    """The head of the acts' chain, held until the transaction ends. Writing its row is what locks it."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    first = dialect.insert(HeadRow).values(writer=CONTROL, seq=0, own=GENESIS)
    await connection.execute(first.on_conflict_do_update(index_elements=["writer"], set_={"writer": CONTROL}))
    row = (await connection.execute(select(HeadRow.seq, HeadRow.own).where(HeadRow.writer == CONTROL))).one()
    return Head(row.seq, row.own)

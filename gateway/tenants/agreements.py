"""Agreements to output without visible labels: who agreed for a key, when, to which version. Nothing is deleted."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.audit.acts import Act, record_act
from gateway.control.terminal import cli_actor
from gateway.store import ApiKey, LabelAgreement, RequestRecord, writing

IN_FORCE = (
    select(func.max(LabelAgreement.id))
    .where(LabelAgreement.key_id == ApiKey.id, LabelAgreement.withdrawn_at.is_(None))
    .correlate(ApiKey)
    .scalar_subquery()
)
"""The id of the agreement in force for the key of a query; part of the look-up, so that it stays one query."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement in force for a key: its row's id, which request records name, and its version."""

    id: int
    version: str


async def agree(engine: AsyncEngine, key_id: str, version: str, agreed_by: str) -> bool:
    """Record an agreement for a key; False when there is no such valid key. An earlier one stays in the table."""
    now = datetime.now(UTC)
    async with writing(engine) as connection:
        valid = await connection.execute(select(ApiKey.id).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)))
        if valid.first() is None:
            return False
        await _withdraw(connection, key_id, now)
        await connection.execute(
            insert(LabelAgreement).values(key_id=key_id, version=version, agreed_by=agreed_by, agreed_at=now)
        )
        detail = {"version": version, "agreed_by": agreed_by}
        await record_act(connection, Act(cli_actor(), "keys.agree", key_id, detail))
    return True


async def withdraw(engine: AsyncEngine, key_id: str) -> bool:
    """End a key's agreement; False when there is none. Workers notice within the cache's time."""
    async with writing(engine) as connection:
        ended = await _withdraw(connection, key_id, datetime.now(UTC))
        if ended:
            await record_act(connection, Act(cli_actor(), "keys.withdraw", key_id))
        return ended


async def _withdraw(connection: AsyncConnection, key_id: str, now: datetime) -> bool:
    done = await connection.execute(
        update(LabelAgreement)
        .where(LabelAgreement.key_id == key_id, LabelAgreement.withdrawn_at.is_(None))
        .values(withdrawn_at=now)
    )
    return bool(done.rowcount)


async def list_agreements(engine: AsyncEngine) -> list[tuple[LabelAgreement, int]]:
    """Every agreement ever recorded, oldest first, with the number of unlabelled answers given under it."""
    given = (
        select(func.count())
        .select_from(RequestRecord)
        .where(RequestRecord.label_agreement == LabelAgreement.id, RequestRecord.label_position == "none")
        .scalar_subquery()
    )
    query = select(*LabelAgreement.__table__.columns, given.label("given")).order_by(LabelAgreement.id)
    async with engine.connect() as connection:
        found = []
        for row in (await connection.execute(query)).mappings():
            columns = dict(row)
            answers = columns.pop("given")
            found.append((LabelAgreement(**columns), answers))
        return found

"""What an operator sets goes before the settings; every change is an act."""

from sqlalchemy import ColumnElement, delete, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.sections.limits import RateSettings
from gateway.audit.acts import Act, record_act
from gateway.limits.subjects import Subject
from gateway.limits.tables import LimitRow
from gateway.store import writing


async def set_limit(engine: AsyncEngine, subject: Subject, limits: RateSettings, actor: str) -> None:
    """Set a subject's limits in place of the settings'."""
    row = {"kind": subject.kind, "subject": subject.id} | limits.model_dump()
    async with writing(engine) as connection:
        await connection.execute(delete(LimitRow).where(*_is(subject)))
        await connection.execute(insert(LimitRow).values(row))
        await record_act(connection, Act(actor, "limits.set", _name(subject), limits.model_dump()))


async def remove_limit(engine: AsyncEngine, subject: Subject, actor: str) -> bool:
    """Go back to the settings; False when nothing was set."""
    async with writing(engine) as connection:
        done = await connection.execute(delete(LimitRow).where(*_is(subject)))
        if done.rowcount:
            await record_act(connection, Act(actor, "limits.remove", _name(subject)))
    return bool(done.rowcount)


def _is(subject: Subject) -> tuple[ColumnElement[bool], ...]:
    return (LimitRow.kind == subject.kind, LimitRow.subject == subject.id)


def _name(subject: Subject) -> str:
    return f"{subject.kind}:{subject.id}"[:100]

"""Jobs that one worker at a time does: a lease is a row that says who, and until when."""

import time

from sqlalchemy import insert, or_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.audit.tables import LeaseRow
from gateway.store import writing


async def take_lease(engine: AsyncEngine, name: str, holder: str, seconds: float, now: float | None = None) -> bool:
    """Take or renew a lease; False while another one holds it."""
    now_us = int((time.time() if now is None else now) * 1_000_000)
    values = {"holder": holder, "until_us": now_us + int(seconds * 1_000_000)}
    free = or_(LeaseRow.until_us < now_us, LeaseRow.holder == holder)
    try:
        async with writing(engine) as connection:
            taken = await connection.execute(update(LeaseRow).where(LeaseRow.name == name, free).values(values))
            if taken.rowcount:
                return True
            await connection.execute(insert(LeaseRow).values(values | {"name": name}))
    except IntegrityError:
        return False
    return True

"""Reading a kept text: only for a reason, and the reading itself is on the chain before the text is shown."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.audit.acts import Act, record_act
from gateway.audit.tables import TextRow
from gateway.audit.text_keys import TextKeys
from gateway.audit.texts import SealedText, open_text
from gateway.store import RequestRecord, writing

MAX_REASON = 500
COLUMNS = (TextRow.owner, TextRow.part, TextRow.key_id, TextRow.wrapped, TextRow.sealed)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, and why."""

    actor: str
    reason: str


async def read_texts(engine: AsyncEngine, keys: TextKeys, request: str, reader: Reader) -> dict[str, str] | None:
    """The kept texts of a request by part; None for an unknown request. Raises UnknownTextKey, TextDamaged.

    An attempt that fails to decrypt leaves its access record too.
    """
    record = select(RequestRecord.prompt_text_digest, RequestRecord.answer_text_digest, RequestRecord.tenant)
    async with writing(engine) as connection:
        row = (await connection.execute(record.where(RequestRecord.id == request))).first()
        if row is None:
            return None
        stored = [
            SealedText(*one) for one in await connection.execute(select(*COLUMNS).where(TextRow.owner == request))
        ]
        detail = {"reason": reader.reason[:MAX_REASON], "parts": sorted(one.part for one in stored)}
        await record_act(connection, Act(reader.actor, "audit.text.read", request, detail), "access")
    digests = {"prompt": row.prompt_text_digest, "answer": row.answer_text_digest}
    return {one.part: open_text(keys, one, digests[one.part] or "").decode() for one in stored}

"""Rotation of the keys of kept texts: the texts' own keys are wrapped anew in batches, oldest owners first."""

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.audit.access import COLUMNS
from gateway.audit.acts import Act, record_act
from gateway.audit.tables import TextRow
from gateway.audit.text_keys import TextDamaged, TextKeys, UnknownTextKey
from gateway.audit.texts import SealedText, rewrap
from gateway.store import writing

BATCH = 200


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many texts are under the newest key now that were not, and how many could not be read."""

    rewrapped: int
    unreadable: int


async def rotate_texts(engine: AsyncEngine, keys: TextKeys, actor: str, batch: int = BATCH) -> Rotated:
    """Bring every text under the newest key; it can be broken off and begun again at any time."""
    rewrapped = unreadable = 0
    after = ("", "")
    while True:
        old = (
            select(*COLUMNS)
            .where(
                TextRow.key_id != keys.newest,
                (TextRow.owner > after[0]) | ((TextRow.owner == after[0]) & (TextRow.part > after[1])),
            )
            .order_by(TextRow.owner, TextRow.part)
            .limit(batch)
        )
        async with writing(engine) as connection:
            texts = [SealedText(*row) for row in await connection.execute(old)]
            if not texts:
                break
            for text in texts:
                try:
                    new = rewrap(keys, text)
                except (UnknownTextKey, TextDamaged):
                    unreadable += 1
                    continue
                mine = update(TextRow).where(
                    TextRow.owner == text.owner, TextRow.part == text.part, TextRow.key_id == text.key_id
                )
                await connection.execute(mine.values(key_id=new.key_id, wrapped=new.wrapped))
                rewrapped += 1
        after = (texts[-1].owner, texts[-1].part)
    async with writing(engine) as connection:
        detail = {"rewrapped": rewrapped, "unreadable": unreadable}
        await record_act(connection, Act(actor, "audit.text_key.rotate", keys.newest, detail))
    return Rotated(rewrapped, unreadable)

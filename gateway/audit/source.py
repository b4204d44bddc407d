"""The log as the database holds it, read in one snapshot and in pages."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.audit.acts import ACTS, ActRow
from gateway.audit.canonical import Canonical
from gateway.audit.chain import Head, Link
from gateway.audit.checkpoint import writers_of
from gateway.audit.signing import PublicKey, Signature, public_keys
from gateway.audit.tables import HeadRow, LinkRow, SignatureRow, TextRow
from gateway.audit.verify import Record
from gateway.audit.writer import REQUESTS
from gateway.store import RequestRecord

PAGE = 1000
TEXTS = 16
"""So many records' texts are read at once: one may have megabytes."""

LINK_COLUMNS = (
    LinkRow.writer, LinkRow.seq, LinkRow.kind, LinkRow.subject, LinkRow.record, LinkRow.previous, LinkRow.own,
    LinkRow.at_us, LinkRow.version,
)  # fmt: skip
SIGNATURE_COLUMNS = tuple(SignatureRow.__table__.columns)


class DatabaseSource:
    """Reads over one connection; `since_us` leaves out the links before the first one from then on."""

    complete = True
    has_texts = True

    def __init__(self, connection: AsyncConnection, since_us: int | None = None) -> None:
        self._connection = connection
        self._since_us = since_us

    async def writers(self) -> list[str]:
        """Writers of links and of signatures: a chain may be gone while its signatures are there."""
        signed = await self._connection.execute(select(SignatureRow.writer).distinct())
        return sorted({*await writers_of(self._connection), *signed.scalars()})

    async def start(self, writer: str) -> Head:
        """Finds the link by halving: numbers rise with time."""
        if self._since_us is None:
            return Head()
        last = select(LinkRow.seq).where(LinkRow.writer == writer).order_by(LinkRow.seq.desc()).limit(1)
        low, high = 0, (await self._connection.execute(last)).scalar() or 0
        while low < high:  # the last link that is too old is in low..high
            middle = (low + high + 1) // 2
            at = select(LinkRow.at_us).where(LinkRow.writer == writer, LinkRow.seq <= middle)
            found = (await self._connection.execute(at.order_by(LinkRow.seq.desc()).limit(1))).scalar()
            if found is not None and found < self._since_us:
                low = middle
            else:
                high = middle - 1
        own = select(LinkRow.own).where(LinkRow.writer == writer, LinkRow.seq == low)
        return Head(low, (await self._connection.execute(own)).scalar() or Head().own)

    async def pages(self, writer: str) -> AsyncIterator[list[Link]]:
        """Pages by number, so that none is read twice."""
        at = (await self.start(writer)).seq
        while True:
            query = select(*LINK_COLUMNS).where(LinkRow.writer == writer, LinkRow.seq > at).order_by(LinkRow.seq)
            page = [Link(*row) for row in await self._connection.execute(query.limit(PAGE))]
            if not page:
                return
            yield page
            at = page[-1].seq

    async def records(self, links: list[Link]) -> Mapping[str, Record]:
        """Requests and acts of these links."""
        requests = [link.subject for link in links if link.kind == "request"]
        acts = [link.subject for link in links if link.kind != "request"]
        found = await self._rows(RequestRecord.__table__, REQUESTS, requests)  # type: ignore[arg-type]
        return found | await self._rows(ActRow.__table__, ACTS, acts)  # type: ignore[arg-type]

    async def _rows(self, table: Table, canonical: Canonical, ids: list[str]) -> dict[str, Record]:
        if not ids:
            return {}
        rows = await self._connection.execute(select(table).where(table.c.id.in_(ids)))
        return {row["id"]: canonical.record(dict(row)) for row in rows.mappings()}

    async def signatures(self, writer: str, first: int, last: int) -> list[Signature]:
        """Signed heads in the order of their numbers."""
        query = select(*SIGNATURE_COLUMNS).where(
            SignatureRow.writer == writer, SignatureRow.seq >= first, SignatureRow.seq <= last
        )
        return [Signature(*row) for row in await self._connection.execute(query.order_by(SignatureRow.seq))]

    async def keys(self) -> list[PublicKey]:
        """All of them."""
        return await public_keys(self._connection)

    async def text_digests(self, ids: list[str]) -> Mapping[tuple[str, str], str]:
        """Hashes of ciphertexts as they are stored now."""
        digests: dict[tuple[str, str], str] = {}
        for at in range(0, len(ids), TEXTS):
            query = select(TextRow.owner, TextRow.part, TextRow.sealed).where(TextRow.owner.in_(ids[at : at + TEXTS]))
            for owner, part, sealed in await self._connection.execute(query):
                digests[owner, part] = hashlib.sha256(sealed).hexdigest()
        return digests

    async def unlinked(self) -> AsyncIterator[str]:
        """Requests and acts whose id is on no chain."""
        tables: tuple[Any, ...] = (RequestRecord, ActRow)
        for table in tables:
            after = ""
            while True:
                page = select(table.id).where(table.id > after).order_by(table.id).limit(PAGE)
                ids = list((await self._connection.execute(page)).scalars())
                if not ids:
                    break
                linked = select(LinkRow.subject).where(LinkRow.subject.in_(ids))
                missing = set(ids) - set((await self._connection.execute(linked)).scalars())
                for one in sorted(missing):
                    yield one
                after = ids[-1]

    async def unlinked_allowed(self) -> int:
        """What the migration counted."""
        before = select(HeadRow.seq).where(HeadRow.writer == "before")
        return (await self._connection.execute(before)).scalar() or 0


@asynccontextmanager
async def snapshot(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection whose reads all see the same moment."""
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    async with engine.connect() as connection:
        yield connection

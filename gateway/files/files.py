"""Files of callers: stored in pieces, encrypted, seen by their own organisation only."""

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.labels.ids import new_content_id
from configs.sections.files import FileSettings
from gateway.errors import InvalidRequest, NotFound
from gateway.files.content import Content
from gateway.files.tables import FileChunk, FileRow
from gateway.store import writing

PIECE_BYTES = 1024 * 1024
UPLOADED = "batch"
RESULT = "batch_output"
LEFT_OVER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose file it is: every key of an organisation sees the organisation's files."""

    tenant: str
    key_id: str


class Files:
    """The files in the database."""

    def __init__(
        self, engine: AsyncEngine, content: Content, settings: FileSettings, clock: Callable[[], float]
    ) -> None:
        self._engine = engine
        self._content = content
        self._settings = settings
        self._clock = clock

    async def add(self, owner: Owner, name: str, purpose: str, pieces: AsyncIterator[bytes]) -> FileRow:
        """Store a file. Raises InvalidRequest when it is too large or empty.

        Each piece has a transaction of its own, so that a large file doesn't keep others from writing; the file is
        there once its row is. What a crash leaves without a row is swept.
        """
        now = self._now()
        row = FileRow(
            id="file-" + new_content_id(now.timestamp()),
            tenant=owner.tenant,
            key_id=owner.key_id,
            name=name,
            purpose=purpose,
            size=0,
            created_at=now,
            expires_at=now + timedelta(days=self._settings.keep_days),
        )
        try:
            await self._store(row, pieces)
        except BaseException:
            async with writing(self._engine) as connection:
                await _remove(connection, [row.id])
            raise
        return row

    async def _store(self, row: FileRow, pieces: AsyncIterator[bytes]) -> None:
        digest = hashlib.sha256()
        number = 0
        async for piece in pieces:
            row.size += len(piece)
            if row.purpose == UPLOADED and row.size > self._settings.max_bytes:
                raise InvalidRequest(
                    f"The file is over {self._settings.max_bytes} bytes; split it. 文件过大，请拆分。", param="file"
                )
            digest.update(piece)
            sealed = self._content.seal(piece, f"{row.id}/{number}")
            async with writing(self._engine) as connection:
                await connection.execute(insert(FileChunk).values(file_id=row.id, number=number, content=sealed))
            number += 1
        row.sha256 = digest.hexdigest()
        async with writing(self._engine) as connection:
            if row.purpose == UPLOADED:
                await self._check_size(connection, row)
            await connection.execute(insert(FileRow).values(_columns(row)))

    async def _check_size(self, connection: AsyncConnection, row: FileRow) -> None:
        if not row.size:
            raise InvalidRequest("The file is empty. 文件为空。", param="file")
        total = select(func.coalesce(func.sum(FileRow.size), 0)).where(FileRow.tenant == row.tenant)
        stored = (await connection.execute(total)).scalar_one()
        if stored + row.size > self._settings.bytes_per_tenant:
            raise InvalidRequest(
                f"Your files may have {self._settings.bytes_per_tenant} bytes together and have {stored}; "
                "delete some first. 文件总量超出上限，请先删除部分文件。",
                param="file",
            )

    async def get(self, tenant: str, file_id: str) -> FileRow:
        """One file of an organisation. Raises NotFound, in the same words for another's."""
        query = select(*FileRow.__table__.columns).where(
            FileRow.id == file_id, FileRow.tenant == tenant, FileRow.expires_at > self._now()
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            raise NotFound(f"No such file: '{file_id[:60]}'. 文件不存在。", param="file_id")
        return FileRow(**row._mapping)

    async def listed(self, tenant: str, *, purpose: str | None, after: str | None, limit: int) -> list[FileRow]:
        """An organisation's files, newest first; ids are in the order of time."""
        query = select(*FileRow.__table__.columns).where(FileRow.tenant == tenant, FileRow.expires_at > self._now())
        if purpose is not None:
            query = query.where(FileRow.purpose == purpose)
        if after is not None:
            query = query.where(FileRow.id < after)
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.order_by(FileRow.id.desc()).limit(limit))
            return [FileRow(**row._mapping) for row in rows]

    async def content(self, row: FileRow) -> AsyncIterator[bytes]:
        """The content, piece by piece."""
        number = 0
        while True:
            query = select(FileChunk.content).where(FileChunk.file_id == row.id, FileChunk.number == number)
            async with self._engine.connect() as connection:
                stored = (await connection.execute(query)).scalar_one_or_none()
            if stored is None:
                return
            yield self._content.open(stored, f"{row.id}/{number}")
            number += 1

    async def delete(self, tenant: str, file_id: str) -> None:
        """Delete a file and its content. Raises NotFound."""
        row = await self.get(tenant, file_id)
        async with writing(self._engine) as connection:
            await _remove(connection, [row.id])

    async def sweep(self) -> int:
        """Delete what has expired, and pieces that a crash left without a file; how many files have expired."""
        now = self._now()
        forgotten = "file-" + new_content_id((now - LEFT_OVER).timestamp())
        async with writing(self._engine) as connection:
            found = await connection.execute(select(FileRow.id).where(FileRow.expires_at <= now).limit(100))
            expired = list(found.scalars())
            await _remove(connection, expired)
            orphans = FileChunk.file_id.not_in(select(FileRow.id)) & (FileChunk.file_id < forgotten)
            await connection.execute(delete(FileChunk).where(orphans))
        return len(expired)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


async def _remove(connection: AsyncConnection, ids: list[str]) -> None:
    await connection.execute(delete(FileChunk).where(FileChunk.file_id.in_(ids)))
    await connection.execute(delete(FileRow).where(FileRow.id.in_(ids)))


def _columns(row: FileRow) -> dict[str, object]:
    return {column.name: getattr(row, column.name) for column in FileRow.__table__.columns}


async def cut(chunks: AsyncIterator[bytes], size: int = PIECE_BYTES) -> AsyncIterator[bytes]:
    """The same bytes in pieces of one size, the last one smaller."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)

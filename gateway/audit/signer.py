"""Signs heads in the background: this worker's, the acts', and those that workers which died left unsigned."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.labels.signing_key import SigningKey
from configs.sections.audit import AuditSettings
from gateway.audit.acts import CONTROL
from gateway.audit.chain import Head
from gateway.audit.signing import publish_key, sign_head
from gateway.audit.tables import SignatureRow
from gateway.audit.writer import ChainWriter, last_link
from gateway.background import Background
from gateway.store import writing
from gateway.workers.worker import WorkerRow

LOOK_SECONDS = 1.0
LEFT_BEHIND = timedelta(days=2)
log = logging.getLogger("opcgate.audit")


class HeadSigner:
    """Signs what is committed. A committed link never changes, so nobody waits for the signer."""

    def __init__(
        self,
        engine: AsyncEngine,
        key: SigningKey,
        chain: ChainWriter,
        settings: AuditSettings,
        clock: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._key = key
        self._chain = chain
        self._settings = settings
        self._clock = clock
        self._signed = 0
        self._signed_at = clock()
        self._background = Background()

    async def start(self) -> None:
        """Publish the key, sign what others left unsigned, then go on in the background."""
        await publish_key(self._engine, self._key, f"worker:{self._chain.writer}")
        await self.sign_others()
        self._background.start(self._sign_for_ever(), "head signer")

    async def close(self) -> None:
        """Sign the last head."""
        if not await self._background.close():
            return
        with contextlib.suppress(SQLAlchemyError, OSError):
            await self.sign_own()
            await self.sign_others()

    async def sign_own(self) -> None:
        """Sign this worker's head if it moved."""
        head = self._chain.head
        if head.seq > self._signed:
            await self._sign(self._chain.writer, head)
            self._signed = head.seq

    async def sign_others(self) -> None:
        """Sign the acts' head, and the heads of workers that were seen lately and have an unsigned one."""
        since = datetime.fromtimestamp(self._clock(), UTC) - LEFT_BEHIND
        async with self._engine.connect() as connection:
            lately = await connection.execute(select(WorkerRow.id).where(WorkerRow.seen_at > since))
            writers = [CONTROL, *(one for (one,) in lately if one != self._chain.writer)]
            unsigned = []
            for writer in writers:
                last = (await connection.execute(last_link(writer))).first()
                signed = select(func.max(SignatureRow.seq)).where(SignatureRow.writer == writer)
                if last is not None and last.seq > ((await connection.execute(signed)).scalar_one() or 0):
                    unsigned.append((writer, Head(last.seq, last.own)))
        for writer, head in unsigned:
            await self._sign(writer, head)

    async def _sign(self, writer: str, head: Head) -> None:
        signature = sign_head(self._key, writer, head.seq, head.own, int(self._clock() * 1_000_000))
        with contextlib.suppress(IntegrityError):  # another worker has signed the same head
            async with writing(self._engine) as connection:
                await connection.execute(insert(SignatureRow).values(asdict(signature)))

    async def _sign_for_ever(self) -> None:
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, self._settings.sign_seconds))
            due = self._clock() - self._signed_at >= self._settings.sign_seconds
            if not due and self._chain.head.seq - self._signed < self._settings.sign_records:
                continue
            try:
                await self.sign_own()
                if due:
                    await self.sign_others()
                    self._signed_at = self._clock()
            except (SQLAlchemyError, OSError) as error:
                log.warning("heads could not be signed: %s", type(error).__name__)

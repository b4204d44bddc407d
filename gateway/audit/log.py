"""The audit log of a running worker: its chain, the signer of heads, kept texts, retention."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.labels.signing_key import SigningKey, load_or_create_key
from configs.sections.audit import AuditSettings
from gateway.audit.retention import Job, Retention
from gateway.audit.signer import HeadSigner
from gateway.audit.text_keys import load_text_keys
from gateway.audit.texts import TextKeeper, keeps_text
from gateway.audit.writer import ChainWriter


@dataclass(frozen=True, slots=True)
class AuditLog:
    """What the rest of the gateway needs of it."""

    chain: ChainWriter
    texts: TextKeeper
    key: SigningKey


@asynccontextmanager
async def running_log(
    settings: AuditSettings, engine: AsyncEngine, worker: str, clock: Callable[[], float], jobs: Sequence[Job] = ()
) -> AsyncIterator[AuditLog]:
    """The log, with its background tasks; on leaving, the last head is signed. Raises RulesError for bad keys.

    `jobs` delete what else has a retention.
    """
    key = load_or_create_key(settings.key_file)
    texts = TextKeeper(settings, load_text_keys(settings) if keeps_text(settings) else None)
    chain = ChainWriter(worker, clock)
    signer = HeadSigner(engine, key, chain, settings, clock)
    retention = Retention(engine, settings, worker, clock, jobs)
    await signer.start()
    retention.start()
    try:
        yield AuditLog(chain, texts, key)
    finally:
        await retention.close()
        await signer.close()

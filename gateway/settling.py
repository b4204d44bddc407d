"""The end of a request: its record and its charge are committed once, however it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from compliance.verdict import Action
from gateway.errors import ClientGone, GatewayError, KeySuspended, PromptRefused, RecordFailed, RecordPending
from gateway.record import RequestEntry, Settlement
from gateway.telemetry.logs import log_request

if TYPE_CHECKING:
    from gateway.chat import Gateway

WHOLE = ("completed", "cut", "replaced")
GONE = (asyncio.CancelledError, GeneratorExit, ClientGone)


@asynccontextmanager
async def settled(gateway: "Gateway", entry: RequestEntry) -> AsyncIterator[None]:
    """Settle the request exactly once, however it ends; a client that leaves can't interrupt it."""
    if gateway.trace is not None:
        entry.trace = gateway.trace.begin(entry)
    try:
        gateway.recorder.check_room()
        yield
    except GatewayError as error:
        entry.outcome = _outcome_of(error)
        entry.error_code = error.code or error.type
        if isinstance(error, KeySuspended):
            entry.key_id = error.key_id
        elif isinstance(error, PromptRefused):
            entry.broke_rules("prompt", Action.block)
        raise
    except BaseException as error:
        entry.outcome = "client_gone" if isinstance(error, GONE) else "failed"
        raise
    finally:
        ended_at = gateway.clock()
        entry.stages.enter("settle")
        entry.scan_seconds = entry.stages.seconds("scan prompt")
        gateway.metrics.count(entry, ended_at)
        if gateway.settings.telemetry.request_log:
            log_request(entry, ended_at)
        if entry.key_id is not None:  # callers without a key are counted, but can't fill the database
            await settle(gateway, entry, ended_at)
        entry.stages.end()
        gateway.metrics.settled(entry.stages.seconds("settle"))
        if gateway.trace is not None:
            gateway.trace(entry, gateway.clock())


def _outcome_of(error: GatewayError) -> str:
    if isinstance(error, PromptRefused):
        return "refused"
    return "rejected" if error.status < 500 else "failed"


async def settle(gateway: "Gateway", entry: RequestEntry, ended_at: float) -> None:
    """Commit the request's row and charge. Raises RecordFailed when it can't: an answer without a record is none.

    Raises RecordPending when a stream has been given and the database doesn't answer in time: the record waits for it.
    """
    hold = entry.hold
    charge = hold.charge(entry) if hold else None
    texts = entry.keeping.seal(entry) if entry.keeping else ()
    written = gateway.recorder.submit(Settlement(entry.row(ended_at), charge, texts, tuple(entry.statements)))
    if hold:
        written.add_done_callback(hold.settled)  # also when whoever waits here is cancelled
    ended = written if entry.violation is None else gateway.suspensions.uncut(_count_violation(gateway, entry, written))
    try:
        async with asyncio.timeout(gateway.settings.audit.last_byte_seconds):
            await asyncio.shield(ended)
    except (SQLAlchemyError, OSError) as error:  # a TimeoutError is an OSError
        if written.done():
            raise RecordFailed("The request could not be recorded; try again. 请求未能记录，请重试。") from error
        if entry.streamed and entry.first_byte_at is not None:
            if entry.outcome in WHOLE:
                raise RecordPending(
                    "The answer is complete. It is recorded and charged as soon as the database is back; don't ask "
                    "again. 回答已完整发送，待数据库恢复后记录并计费，请勿重复请求。"
                ) from error
            return  # the caller is told what broke the stream
        gateway.recorder.take_back(written)
        if hold:
            hold.waive()
        raise RecordFailed(
            "The request could not be recorded in time; try again. 请求未能及时记录，请重试。"
        ) from error


async def _count_violation(gateway: "Gateway", entry: RequestEntry, written: "asyncio.Future[None]") -> None:
    """Apply the rule of repeated violations as soon as this one is on record, however long that takes."""
    await asyncio.shield(written)
    await gateway.suspensions.count(entry)
    if entry.key_id is not None:
        gateway.keys.forget(entry.key_id)
    if entry.tenant is not None and gateway.settings.tenants.violations_suspend == "organisation":
        gateway.keys.forget_tenant(entry.tenant)

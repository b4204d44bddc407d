"""Runs the lines of batches through the same generator as live requests, while those leave room.

A line's result is stored in the transaction that settles its request: a crash loses both or neither, so no line is
billed twice.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

import orjson
from sqlalchemy.exc import SQLAlchemyError

from compliance.labels.ids import new_content_id
from configs.sections.files import FileSettings
from gateway.audit.text_keys import TextDamaged, UnknownTextKey
from gateway.call import Call
from gateway.errors import GatewayError, KeySuspended, QuotaSpent, RecordFailed
from gateway.files.batches import Batches, ClaimedLine
from gateway.files.files import RESULT, Files, Owner, cut
from gateway.files.tables import BatchRow
from gateway.record import RequestEntry
from gateway.surfaces.surface import Event
from gateway.surfaces.wire import Wire
from gateway.tenants.caller import Caller

log = logging.getLogger("opcgate.batches")
SWEEP_SECONDS = 3600.0
LONGEST_PAUSE_SECONDS = 300.0
AGAIN_SECONDS = 1.0
REFUSED_FOR_GOOD = (QuotaSpent, KeySuspended)


@dataclass(frozen=True, slots=True)
class BatchEndpoint:
    """An endpoint that batches may name: what serves a call, what writes its answer, and what records call it."""

    name: str
    answer: Callable[[Call, RequestEntry], AsyncGenerator[Event]]
    wire: Callable[[], Wire]


class BatchRunner:
    """The background work of one worker: claims lines, runs them, gathers results, puts back what the dead left."""

    def __init__(
        self,
        batches: Batches,
        files: Files,
        settings: FileSettings,
        endpoints: Mapping[str, BatchEndpoint],
        caller_of: Callable[[str], Awaitable[Caller]],
        busy: Callable[[], int],
        new_entry: Callable[[str], RequestEntry],
        clock: Callable[[], float],
    ) -> None:
        """`busy` is how many live requests are open; `caller_of` gives a key's caller or raises GatewayError."""
        self._batches = batches
        self._files = files
        self._settings = settings
        self._endpoints = endpoints
        self._caller_of = caller_of
        self._busy = busy
        self._new_entry = new_entry
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._swept_at = clock()

    def start(self) -> None:
        """Begin; call once, inside the event loop."""
        self._task = asyncio.create_task(self._run_for_ever(), name="batches")

    async def close(self) -> None:
        """End; lines under way are put back, to be run by another worker or after a restart."""
        if self._task is None:
            return
        for task in (self._task, *self._running):
            task.cancel()
        await asyncio.gather(self._task, *self._running, return_exceptions=True)

    async def _run_for_ever(self) -> None:
        while True:
            try:
                worked = await self.turn()
            except (SQLAlchemyError, OSError, TextDamaged, UnknownTextKey) as error:
                log.warning("batches have to wait: %s", type(error).__name__)
                worked = False
            await asyncio.sleep(0 if worked else self._settings.batch_poll_seconds)

    async def turn(self) -> bool:
        """One round; True when there was something to do."""
        if self._clock() - self._swept_at > SWEEP_SECONDS:
            self._swept_at = self._clock()
            await self._files.sweep()
        if not await self._batches.any_open():
            return False
        room = self._settings.batch_requests_at_once - len(self._running)
        if self._busy() - len(self._running) >= self._settings.batch_yields_at:
            room = 0
        lines = await self._batches.claim(room) if room > 0 else []
        for line in lines:
            task = asyncio.create_task(self._run(line), name=f"batch line {line.id}")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        if lines:
            return True
        if self._running and room == 0:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            return True
        return await self._tidy_up()

    async def _tidy_up(self) -> bool:
        """Put back and gather; True when a batch was finished."""
        await self._batches.take_back()
        row = await self._batches.finalizable()
        if row is None:
            return False
        await self._gather(row)
        return True

    async def _run(self, line: ClaimedLine) -> None:
        """Run one line to its end, or put it back."""
        endpoint = self._endpoints[line.endpoint]
        entry = self._new_entry(endpoint.name)
        wire = endpoint.wire()
        try:
            caller = await self._caller_of(line.key_id)
            call = Call(None, None, _body_of(line), lambda request: wire.begin(request, entry), caller)
            await self._store_answer(line, endpoint, call, entry, wire)
        except GatewayError as error:
            await self._take_refusal(line, entry, error, wire)
        except asyncio.CancelledError:
            with contextlib.suppress(SQLAlchemyError):
                await asyncio.shield(self._batches.postpone(line, 0))
            raise
        except Exception:
            log.exception("batch line %d failed", line.id)
            failure = GatewayError(f"Something went wrong here; quote {entry.id}. 服务内部错误。")
            await self._take_refusal(line, entry, failure, wire)

    async def _store_answer(
        self, line: ClaimedLine, endpoint: BatchEndpoint, call: Call, entry: RequestEntry, wire: Wire
    ) -> None:
        async with aclosing(endpoint.answer(call, entry)) as events:
            async for event in events:
                body = orjson.loads(wire.whole(event))
                # The generator settles when it goes on, and takes the result into the same transaction.
                result = _result(line, entry.id, 200, body)
                entry.statements.append(self._batches.ended(line, result, failed=False))

    async def _take_refusal(self, line: ClaimedLine, entry: RequestEntry, error: GatewayError, wire: Wire) -> None:
        """What will pass is tried again later; what will not is the line's result."""
        passing = (error.status == 429 or error.status >= 500) and not isinstance(error, REFUSED_FOR_GOOD)
        while True:
            try:
                if isinstance(error, RecordFailed) or (passing and line.attempts < self._settings.batch_attempts):
                    await self._batches.postpone(line, min(LONGEST_PAUSE_SECONDS, 2.0**line.attempts))
                    return
                result = _result(line, entry.id, error.status, orjson.loads(wire.refusal(error)))
                await self._batches.store(self._batches.ended(line, result, failed=True))
                return
            except (SQLAlchemyError, OSError) as away:
                # Nobody takes it back from a worker that lives.
                log.warning("batch line %d stays claimed for now: %s", line.id, type(away).__name__)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _gather(self, row: BatchRow) -> None:
        """Write a finished batch's results into files of their own."""
        cancelled = row.status == "cancelling"
        left = await self._batches.left(row.id)
        code, why = ("batch_cancelled", "cancelled") if cancelled else ("batch_expired", "not run in time")
        for number, custom_id in left:
            line = ClaimedLine(0, row.id, row.key_id, row.endpoint, custom_id, b"", 0)
            await self._batches.store(self._batches.given_up(line, number, _given_up(custom_id, code, why)))
        owner = Owner(row.tenant, row.key_id)
        written: dict[str, str | None] = {"done": None, "failed": None}
        _, counts = await self._batches.get(row.tenant, row.id)
        for state, name, count in (("done", "output", counts.completed), ("failed", "error", counts.failed)):
            if count:
                pieces = cut(self._batches.results(row.id, state))
                written[state] = (await self._files.add(owner, f"{row.id}_{name}.jsonl", RESULT, pieces)).id
        status = "cancelled" if cancelled else "expired" if left else "completed"
        await self._batches.finish(row, status, written["done"], written["failed"])


def _body_of(line: ClaimedLine) -> Callable[[], Awaitable[bytes]]:
    async def read() -> bytes:
        return line.body

    return read


def _result(line: ClaimedLine, request_id: str, status: int, body: object) -> bytes:
    """One line of an output or error file, as OpenAI writes it."""
    response = {"status_code": status, "request_id": request_id, "body": body}
    return orjson.dumps(
        {"id": "batch_req_" + request_id.removeprefix("req_"), "custom_id": line.custom_id, "response": response}
        | {"error": None}
    )


def _given_up(custom_id: str, code: str, why: str) -> bytes:
    error = {"code": code, "message": f"This request was {why}. 该请求未执行。"}
    return orjson.dumps(
        {"id": "batch_req_" + new_content_id(0), "custom_id": custom_id, "response": None, "error": error}
    )

"""HTTP around an answer: read the body, watch for the client's leaving, write JSON or server-sent events.

Plain ASGI, mounted as routes in the FastAPI app: these are the hot paths.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from time import monotonic

from starlette.types import Message, Receive, Scope, Send

from compliance.labels.ids import new_content_id
from gateway.call import Call
from gateway.chat import Gateway
from gateway.errors import BodyTooLarge, ClientGone, GatewayError
from gateway.limits.headers import written
from gateway.record import RequestEntry
from gateway.request import CheckedRequest
from gateway.stream_writer import StreamWriter
from gateway.surfaces.wire import Wire
from gateway.tenants.credentials import credentials_of
from gateway.upstream import Event

log = logging.getLogger("opcgate.endpoint")
Headers = list[tuple[bytes, bytes]]
DISCARD_BYTES = 64 * 1024 * 1024

Answer = Callable[[Gateway, Call, RequestEntry], AsyncGenerator[Event]]
"""What an endpoint does with a call: events that are safe to send."""


class SettledEndpoint:
    """The ASGI application behind one path whose requests are settled."""

    def __init__(
        self, gateway: Gateway, name: str, answer: Answer, max_body_bytes: int, wire: Callable[[], Wire] = Wire
    ) -> None:
        """`name` is what records and metrics call the endpoint; `wire` makes what writes one answer."""
        self._gateway = gateway
        self._name = name
        self._answer = answer
        self._max_body_bytes = max_body_bytes
        self._wire = wire
        self._stalled_seconds = gateway.settings.listen.stalled_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request; when the client leaves, the work for it is cancelled and settled."""
        exchange = Exchange(
            self._gateway, self._name, self._answer, scope, receive, send, self._max_body_bytes, self._wire()
        )
        work = asyncio.create_task(exchange.run(), name=exchange.entry.id)
        gone = asyncio.create_task(exchange.client_gone())
        stalled = False
        try:
            ended: set[asyncio.Task[None]] = set()
            while not ended and not stalled:
                ended, _ = await asyncio.wait(
                    (work, gone), timeout=self._stalled_seconds / 2, return_when=asyncio.FIRST_COMPLETED
                )
                stalled = exchange.waits_for_client(self._stalled_seconds)
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
            await asyncio.wait((work,))
        if stalled:
            await _hang_up(receive)
        with suppress(asyncio.CancelledError, ClientGone):
            work.result()


async def _hang_up(receive: Receive) -> None:
    """End the connection at once: closing it in order would wait for the client to read what is left.

    ASGI has no word for it, so the server's own is used where there is one.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


class Exchange:
    """One request and its response."""

    def __init__(
        self,
        gateway: Gateway,
        name: str,
        answer: Answer,
        scope: Scope,
        receive: Receive,
        send: Send,
        max_body_bytes: int,
        wire: Wire,
    ) -> None:
        self._gateway = gateway
        self._answer = answer
        self._scope = scope
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self._address = gateway.keys.proxies.client(scope)
        self._receive = receive
        self._send = send
        self._max_body_bytes = max_body_bytes
        self._wire = wire
        self._body_read = asyncio.Event()
        self._client_since: float | None = None
        self._started = False
        self.entry = RequestEntry(
            id="req_" + new_content_id(gateway.clock()),
            endpoint=name,
            started_at=gateway.clock(),
            rules_version=gateway.pipeline.version,
            worker=gateway.worker.id,
            label_asked=self._header(b"x-opcgate-label"),
            traceparent=self._header(b"traceparent"),
        )

    def _header(self, name: bytes) -> str | None:
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1").strip()

    async def run(self) -> None:
        """Answer, or say why not: as a response before the first byte, as an event after it."""
        try:
            events = self._answer(self._gateway, self._call(), self.entry)
            async with aclosing(events):
                await self._write(events)
        except GatewayError as error:
            await self._refuse(error)
        except ClientGone:
            raise
        except Exception:
            # The traceback goes to the log, which holds no user text; the caller gets the request's id.
            log.exception("request %s failed", self.entry.id)
            await self._refuse(GatewayError(f"Something went wrong here; quote {self.entry.id}. 服务内部错误。"))

    def _call(self) -> Call:
        return Call(credentials_of(self._scope["headers"]), self._address, self.read_body, self._checked)

    def _checked(self, request: CheckedRequest) -> None:
        self._wire.begin(request, self.entry)

    async def read_body(self) -> bytes:
        """The whole body. Raises BodyTooLarge, ClientGone.

        What is over the limit is read and thrown away up to a bound, since a client that is still sending
        would see a reset connection instead of the 413.
        """
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                self._client_since = monotonic()
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                size += len(message.get("body", b""))
                if size <= self._max_body_bytes:
                    parts.append(message.get("body", b""))
                ended = not message.get("more_body")
                if size > self._max_body_bytes and (ended or size > DISCARD_BYTES):
                    raise BodyTooLarge(f"The body is over {self._max_body_bytes} bytes; send less. 请求体过大。")
                if ended:
                    return b"".join(parts)
        finally:
            self._client_since = None
            self._body_read.set()

    def waits_for_client(self, seconds: float) -> bool:
        """True when the client has neither taken nor sent anything for so long, though it is its turn."""
        return self._client_since is not None and monotonic() - self._client_since > seconds

    async def client_gone(self) -> None:
        """Return when the client has closed its connection. Only one task may receive, so it waits for the body."""
        await self._body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _write(self, events: AsyncGenerator[Event]) -> None:
        """Write a stream as it comes. A whole answer waits for the generator's end, so that it is settled first."""
        whole: list[Event] = []
        async with StreamWriter(self._event_bytes) as writer:
            async for event in events:
                if not self.entry.streamed:
                    whole.append(event)
                    continue
                if not self._started:
                    await self._start_stream()
                said = self._wire.event(event)
                if said:
                    await writer.write(said)
        if self.entry.streamed:
            await self._start_stream()
            await self._body(self._wire.end(), more=False)
        else:
            (only,) = whole
            body = self._wire.whole(only)
            await self._start(200, b"application/json", [])
            await self._body(body, more=False)

    async def _start_stream(self) -> None:
        await self._start(200, b"text/event-stream; charset=utf-8", [(b"cache-control", b"no-cache")])

    async def _event_bytes(self, events: bytes) -> None:
        await self._body(events, more=True)

    async def _refuse(self, error: GatewayError) -> None:
        if self._started:
            await self._body(self._wire.broken(error), more=False)
            return
        await self._start(error.status, b"application/json", error.headers())
        await self._body(self._wire.refusal(error), more=False)

    async def _start(self, status: int, content_type: bytes, headers: Headers) -> None:
        if self._started:
            return
        self._started = True
        milliseconds = round(1000 * (self._gateway.clock() - self.entry.started_at))
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", content_type),
                    (b"x-request-id", self.entry.id.encode()),
                    (b"openai-processing-ms", str(milliseconds).encode()),
                    *self._wire.headers(self.entry.id),
                    *((b"x-opcgate-model-digest", f"sha256:{one}".encode()) for one in self._digests()),
                    *written(self.entry.limit_headers),
                    *(self.entry.response_headers if status == 200 else ()),
                    *headers,
                ],
            }
        )

    def _digests(self) -> list[str]:
        """The digest of the weights that the caller named, once they are known."""
        return [self.entry.model_digest] if self.entry.model_digest else []

    async def _body(self, body: bytes, *, more: bool) -> None:
        message: Message = {"type": "http.response.body", "body": body, "more_body": more}
        self._client_since = monotonic()
        await self._send(message)
        self._client_since = None

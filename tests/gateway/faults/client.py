"""A client on the other side of ASGI: it leaves, stops reading or stops sending at exactly the chosen moment."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI

from tests.gateway.faults.site import MODEL, Site, price

BODY = {"model": MODEL, "messages": [{"role": "user", "content": "写一句文案"}], "max_tokens": 80, "stream": True}


@dataclass
class Client:
    """One request. `leave()` breaks the connection; `on_event` is told the number of each event that has come."""

    app: FastAPI
    key: str
    body: dict[str, Any] = field(default_factory=lambda: dict(BODY))
    on_event: Callable[[int], None] = lambda _: None
    half_body: bool = False
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    received: bytes = b""
    ended: bool = False
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _sent: int = 0
    _events: int = 0

    @classmethod
    def of(cls, site: Site, **fields: Any) -> "Client":
        """A client with the tenant's key; `fields` are laid over the usual body."""
        assert site.app is not None
        return cls(site.app, site.key, BODY | fields)

    def leave(self) -> None:
        """Close the connection."""
        self._gone.set()

    async def ask(self) -> "Client":
        """Send the request, and return when the server is done with it."""
        scope = {
            "type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"",
            "headers": [(b"authorization", f"Bearer {self.key}".encode()), (b"content-type", b"application/json")],
            "client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 80), "scheme": "http", "http_version": "1.1",
        }  # fmt: skip
        await self.app(scope, self._receive, self._send)
        return self

    async def _receive(self) -> dict[str, Any]:
        content = json.dumps(self.body).encode()
        if self._gone.is_set():
            return {"type": "http.disconnect"}
        self._sent += 1
        if self._sent == 1:
            half = content[: len(content) // 2] if self.half_body else content
            return {"type": "http.request", "body": half, "more_body": self.half_body}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if self._gone.is_set():
            return  # as servers do: what is written after the end is dropped
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self.received += message["body"]
        self.ended = not message.get("more_body")
        while self.received.count(b"\n\n") > self._events:
            self._events += 1
            self.on_event(self._events)

    @property
    def whole(self) -> bool:
        """True when the last byte of an answer has come."""
        done = b"data: [DONE]" in self.received if self.body["stream"] else self.ended
        return self.status == 200 and done and not self._gone.is_set()

    @property
    def error(self) -> str | None:
        """The code of the error that came, as a response or in a stream."""
        for line in self.received.decode().splitlines():
            said = line.removeprefix("data: ")
            if said.startswith('{"error"'):
                return str(json.loads(said)["error"]["code"])
        return None

    def note(self, site: Site, output_tokens: int | None = None) -> None:
        """Tell the site that this answer came whole, if it did but for an end that waited for its record."""
        if self.whole or self.error == "record_pending":
            cost = None if output_tokens is None else price(output_tokens)
            site.received[self.headers["x-request-id"]] = cost

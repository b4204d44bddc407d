"""How an answer is written for the client: OpenAI's JSON and `data:` events here, other formats derive from it."""

from typing import TYPE_CHECKING, Any

import orjson

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from gateway.record import RequestEntry
    from gateway.request import CheckedRequest

Event = dict[str, Any]


class Wire:
    """Writes one answer as chat and text completions do. A format with a state of its own learns of the request."""

    def begin(self, request: "CheckedRequest", entry: "RequestEntry") -> None:
        """The request is well formed; called before its first event, and not at all for one that is refused sooner."""

    def event(self, event: Event) -> bytes:
        """An event of a stream; empty when it says nothing to this format's clients."""
        return b"data: " + orjson.dumps(event) + b"\n\n"

    def end(self) -> bytes:
        """What ends a stream."""
        return b"data: [DONE]\n\n"

    def whole(self, event: Event) -> bytes:
        """An answer that is not streamed."""
        return orjson.dumps(event)

    def refusal(self, error: GatewayError) -> bytes:
        """The body of a response that is an error."""
        return error.body()

    def broken(self, error: GatewayError) -> bytes:
        """An error after a stream's first byte."""
        return b"data: " + error.body() + b"\n\n"

    def headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        """Headers of this format besides those that every response has."""
        return []

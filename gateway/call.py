"""What an endpoint knows of an HTTP request before anything is decided."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.tenants.caller import Caller

if TYPE_CHECKING:
    from gateway.request import CheckedRequest


def _told_nobody(_request: "CheckedRequest") -> None:
    """Nobody writes the answer in a format that depends on the request."""


@dataclass(frozen=True, slots=True)
class Call:
    """Credentials as sent (`Authorization`, else `Bearer` of `x-api-key`), the peer's address, and the body to come.

    `caller` is known already where the gateway itself asks, as for a batch.
    `on_checked` is told of the request once it is well formed: what writes the answer may need to know of it.
    """

    credentials: bytes | None
    address: str | None
    read_body: Callable[[], Awaitable[bytes]]
    on_checked: Callable[["CheckedRequest"], None] = _told_nobody
    caller: Caller | None = None

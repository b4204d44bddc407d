"""What an endpoint knows of an HTTP request before anything is decided."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """Credentials as sent (`Authorization`, else `Bearer` of `x-api-key`), the peer's address, and the body to come."""

    credentials: bytes | None
    address: str | None
    read_body: Callable[[], Awaitable[bytes]]

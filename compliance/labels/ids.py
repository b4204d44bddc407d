"""Content ids: unique without asking anyone, and in the order of time."""

import secrets
from datetime import UTC, datetime
from uuid import UUID

_TIME_BITS = 48


def new_content_id(now: float) -> str:
    """A version 7 UUID (RFC 9562, section 5.7) as 32 hexadecimal digits; `now` is Unix time in seconds."""
    milliseconds = int(now * 1000) & ((1 << _TIME_BITS) - 1)
    low = secrets.randbits(74)
    return f"{milliseconds << 80 | 0x7 << 76 | (low >> 62) << 64 | 0b10 << 62 | low & ((1 << 62) - 1):032x}"


def time_of(content_id: str) -> datetime:
    """When a content id was made. Raises ValueError when it is not a version 7 UUID."""
    value = UUID(hex=content_id)
    if value.version != 7:
        raise ValueError("not a version 7 UUID")
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC)

"""The hash chain: every record is a link that holds the hash of the link before it.

Each writer (a worker process, or `control` for administrative acts) has a chain of its own, numbered from 1 without
gaps, so that no two processes wait for each other.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from gateway.audit.canonical import VERSION

Kind = Literal["request", "act", "access", "checkpoint"]
ACT_KINDS: tuple[Kind, ...] = ("act", "access", "checkpoint")
GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class Link:
    """One link. `at_us` is when it was written, in microseconds since 1970; hashes are 32 bytes."""

    writer: str
    seq: int
    kind: str
    subject: str
    record: bytes
    previous: bytes
    own: bytes
    at_us: int
    version: int = VERSION

    def columns(self) -> dict[str, Any]:
        """The link as a row; written out, since it is on the way of every request."""
        return {
            "writer": self.writer,
            "seq": self.seq,
            "kind": self.kind,
            "subject": self.subject,
            "record": self.record,
            "previous": self.previous,
            "own": self.own,
            "at_us": self.at_us,
            "version": self.version,
        }

    def computed(self) -> bytes:
        """The hash that this link must have."""
        return link_hash(
            self.writer, self.seq, self.kind, self.subject, self.record, self.previous, self.at_us, self.version
        )


@dataclass(frozen=True, slots=True)
class Head:
    """The last link of a chain; an empty chain has number 0 and a hash of zeros."""

    seq: int = 0
    own: bytes = GENESIS

    def link(self, writer: str, kind: str, subject: str, record: bytes, at_us: int) -> Link:
        """The link that follows."""
        seq = self.seq + 1
        own = link_hash(writer, seq, kind, subject, record, self.own, at_us, VERSION)
        return Link(writer, seq, kind, subject, record, self.own, own, at_us)


def link_hash(
    writer: str, seq: int, kind: str, subject: str, record: bytes, previous: bytes, at_us: int, version: int
) -> bytes:
    """SHA-256 of the fields, parted by zero bytes; the two hashes of 32 bytes stand at the end."""
    said = f"opcgate-audit-link-v{version}\0{writer}\0{seq}\0{kind}\0{subject}\0{at_us}\0".encode()
    return hashlib.sha256(said + record + previous).digest()

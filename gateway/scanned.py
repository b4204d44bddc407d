"""Scanned texts remembered: a conversation is sent again at every turn, and only what is new in it needs a scan.

A text is known by a keyed hash of itself, the rules' version, the direction and the surface. So other rules never
meet an old outcome, and nobody can look a text up. What is kept is the outcome; of a clean text nothing else.
"""

import hashlib
import secrets
import sys
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from threading import Lock

from compliance.pipeline import Pipeline
from compliance.verdict import Action, Direction, Finding, Surface

ENTRY_BYTES = 300
"""About what an entry takes besides its findings and masked text: its key, its places in the table, its outcome."""

FINDING_BYTES = 400
"""About what a finding takes; its long strings belong to the rules."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the rules made of a text. `masked` is what may be sent instead; None where that is the text itself."""

    action: Action
    findings: tuple[Finding, ...]
    masked: str | None


CLEAN = Outcome(Action.allow, (), None)


class ScannedTexts:
    """Outcomes of the texts that were scanned last, bounded by number and by bytes. Thread-safe."""

    def __init__(self, max_texts: int, max_bytes: int) -> None:
        """With `max_texts` 0 nothing is remembered."""
        self._max_texts = max_texts
        self._max_bytes = max_bytes
        self._secret = secrets.token_bytes(32)
        self._outcomes: OrderedDict[bytes, Outcome] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._outcomes)

    @property
    def size_bytes(self) -> int:
        """About how much memory the outcomes take."""
        return self._bytes

    def scan(
        self,
        pipeline: Pipeline,
        text: str,
        direction: Direction,
        surface: Surface = "text",
        only: Collection[str] | None = None,
    ) -> Outcome:
        """The outcome of a text, scanned now unless it is remembered. Raises ScannerError, which is not remembered."""
        if not text:
            return CLEAN
        if not self._max_texts:
            return _outcome(pipeline, text, direction, surface, only)
        key = self._key(pipeline, text, direction, surface, only)
        with self._lock:
            known = self._outcomes.get(key)
            if known is not None:
                self._outcomes.move_to_end(key)
                return known
        outcome = _outcome(pipeline, text, direction, surface, only)
        self._remember(key, outcome)
        return outcome

    def knows(
        self,
        pipeline: Pipeline,
        text: str,
        direction: Direction,
        surface: Surface = "text",
        only: Collection[str] | None = None,
    ) -> bool:
        """Whether a text would cost no scan."""
        return not text or self._key(pipeline, text, direction, surface, only) in self._outcomes

    def _key(
        self, pipeline: Pipeline, text: str, direction: Direction, surface: Surface, only: Collection[str] | None
    ) -> bytes:
        scanners = "*" if only is None else ",".join(only)
        said = f"{pipeline.version}\0{direction}\0{surface}\0{scanners}\0{text}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(said, digest_size=16, key=self._secret).digest()

    def _remember(self, key: bytes, outcome: Outcome) -> None:
        with self._lock:
            if key in self._outcomes:  # another thread scanned the same text meanwhile
                return
            self._outcomes[key] = outcome
            self._bytes += _size(outcome)
            while len(self._outcomes) > self._max_texts or self._bytes > self._max_bytes:
                _, oldest = self._outcomes.popitem(last=False)
                self._bytes -= _size(oldest)


def _outcome(
    pipeline: Pipeline, text: str, direction: Direction, surface: Surface, only: Collection[str] | None
) -> Outcome:
    verdict = pipeline.scan(text, direction, surface=surface, only=only)
    if not verdict.findings:
        return CLEAN
    masks = pipeline.enforce and verdict.action.hides
    return Outcome(verdict.action, verdict.findings, verdict.released if masks else None)


def _size(outcome: Outcome) -> int:
    masked = 0 if outcome.masked is None else sys.getsizeof(outcome.masked)
    return ENTRY_BYTES + FINDING_BYTES * len(outcome.findings) + masked

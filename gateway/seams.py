"""What is hidden over a join: 海洛 at the end of one message and 因 at the beginning of the next.

Only what lies on both sides of a join is of interest here; each text alone is scanned elsewhere. Scanners that judge
sentences by their meaning are left out: two halves of unrelated messages make a sentence that nobody wrote. So are
types of findings that rest on context rather than on their own form.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from compliance.pipeline import Pipeline
from compliance.verdict import Finding, Surface
from gateway.scanned import ScannedTexts
from gateway.surfaces.shape import Place

REACH = 512
"""So many characters on each side of a join are looked at; more than any term or value with its separators takes."""

SCANNERS = ("keywords", "personal_info", "injection")
NOT_JOINED = frozenset({"person_name", "address"})


@dataclass(frozen=True, slots=True)
class Crossing:
    """A finding across joins: reported on `last`, where it ends; `pieces` are its parts as (place, start, end)."""

    finding: Finding
    pieces: tuple[tuple[Place, int, int], ...]

    @property
    def last(self) -> Place:
        return self.pieces[-1][0]


@dataclass(frozen=True, slots=True)
class Join:
    """Where two texts meet: what is scanned there, where in it they meet, and the pieces that it is made of."""

    text: str
    at: int
    pieces: tuple[tuple[Place, int, str], ...]

    @property
    def surface(self) -> Surface:
        return self.pieces[-1][0].surface


def crossings(pipeline: Pipeline, scanned: ScannedTexts, places: Sequence[Place]) -> Iterator[Crossing]:
    """The findings that begin in one of these texts and end in a later one. Raises ScannerError."""
    for join in joins(places):
        for finding in scanned.scan(pipeline, join.text, "prompt", join.surface, SCANNERS).findings:
            if finding.start < join.at < finding.end and finding.type not in NOT_JOINED:
                yield _crossing(finding, join.pieces)


def joins(places: Sequence[Place]) -> Iterator[Join]:
    """Every place where one of these texts follows others."""
    before: list[tuple[Place, int, str]] = []  # the texts that reach the join, each from an offset on
    for place in places:
        text = place.text
        if not text:
            continue
        if before:
            head, tail = text[:REACH], "".join(part for _, _, part in before)
            yield Join(tail + head, len(tail), (*before, (place, 0, head)))
        before = _tail([*before, (place, max(0, len(text) - REACH), text[-REACH:])])


def _tail(parts: list[tuple[Place, int, str]]) -> list[tuple[Place, int, str]]:
    """The last `REACH` characters of these texts."""
    kept: list[tuple[Place, int, str]] = []
    room = REACH
    for place, start, text in reversed(parts):
        if room:
            cut = max(0, len(text) - room)
            kept.insert(0, (place, start + cut, text[cut:]))
            room -= len(text) - cut
    return kept


def _crossing(finding: Finding, parts: Sequence[tuple[Place, int, str]]) -> Crossing:
    pieces: list[tuple[Place, int, int]] = []
    at = 0
    for place, start, text in parts:
        low, high = max(finding.start, at), min(finding.end, at + len(text))
        if low < high:
            pieces.append((place, start + low - at, start + high - at))
        at += len(text)
    first, _, _ = pieces[0]
    _, low, high = pieces[-1]
    why = f"{finding.why}; it begins in {first.param}"
    return Crossing(replace(finding, start=low, end=high, why=why), tuple(pieces))

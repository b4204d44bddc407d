"""What is hidden over a join: 海洛 at the end of one message and 因 at the beginning of the next.

Only what lies on both sides of a join is of interest here; each text alone is scanned elsewhere. Scanners that judge
sentences by their meaning are left out: two halves of unrelated messages make a sentence that nobody wrote. So are
types of findings that rest on context rather than on their own form.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from compliance.pipeline import Pipeline
from compliance.verdict import Finding, Surface
from gateway.scanned import ScannedTexts
from gateway.surfaces.shape import Place

REACH = 512
"""So many characters on each side of a join are looked at; more than any term or value with its separators takes."""

JOINS_ALONE = 256
"""So many joins are looked at one by one, each with nothing behind its second text. With more, each costing up to twice
`REACH` however small the texts, 20,000 tiny ones would take half a minute: they are looked at in strips."""

STRIP = 2048
"""A strip ends with the text that reaches so many characters; the next one begins with its last `REACH`."""

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
    """Text that goes over one or more joins: the pieces that it is made of, and where in it they meet.

    Only what ends behind `seen` is new here; the rest was looked at before.
    """

    text: str
    meets: tuple[int, ...]
    seen: int
    pieces: tuple[tuple[Place, int, str], ...]

    @property
    def surface(self) -> Surface:
        return self.pieces[-1][0].surface

    def crossed_by(self, finding: Finding) -> bool:
        """Whether a finding begins on one side of a join and ends on the other, and is new."""
        place = bisect_right(self.meets, finding.start)
        return finding.end > self.seen and place < len(self.meets) and self.meets[place] < finding.end


def crossings_of(pipeline: Pipeline, scanned: ScannedTexts, join: Join) -> Iterator[Crossing]:
    """The findings over one join. Raises ScannerError."""
    for finding in scanned.scan(pipeline, join.text, "prompt", join.surface, SCANNERS).findings:
        if join.crossed_by(finding) and finding.type not in NOT_JOINED:
            yield _crossing(finding, join.pieces)


def joins(places: Sequence[Place]) -> Iterator[Join]:
    """Every place where one of these texts follows others."""
    places = [one for one in places if one.text]
    return _strips(places) if len(places) > JOINS_ALONE else _one_by_one(places)


def _one_by_one(places: Sequence[Place]) -> Iterator[Join]:
    before: list[tuple[Place, int, str]] = []  # the texts that reach the join, each from an offset on
    for place in places:
        text = place.text
        if before:
            head, tail = text[:REACH], "".join(part for _, _, part in before)
            yield Join(tail + head, (len(tail),), len(tail), (*before, (place, 0, head)))
        before = _tail([*before, _end_of(place)])


def _strips(places: Sequence[Place]) -> Iterator[Join]:
    strip: list[tuple[Place, int, str]] = []
    seen = size = 0
    for place in places:
        text = place.text
        strip.append((place, 0, text[:REACH]))
        size += min(len(text), REACH)
        if size < STRIP and len(text) <= REACH:
            continue
        if len(strip) > 1:
            yield _strip(strip, seen)
        strip = _tail([*strip[:-1], _end_of(place)])
        seen = size = sum(len(part) for _, _, part in strip)
    if size > seen and len(strip) > 1:
        yield _strip(strip, seen)


def _strip(pieces: Sequence[tuple[Place, int, str]], seen: int) -> Join:
    meets, at = [], 0
    for _, _, part in pieces[:-1]:
        at += len(part)
        meets.append(at)
    return Join("".join(part for _, _, part in pieces), tuple(meets), seen, tuple(pieces))


def _end_of(place: Place) -> tuple[Place, int, str]:
    return (place, max(0, len(place.text) - REACH), place.text[-REACH:])


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

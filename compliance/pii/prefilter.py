"""The pre-filter of personal information: where a value may begin, without running the detectors' patterns.

Values that begin with a letter or digit are looked for by one pattern, joined from the cheap tests of all detectors.
Those that begin with a Chinese character (names, plates, addresses) would ask that pattern at every third character of
Chinese text, so a table says of each character which of them it may stand before, begin and come second in.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from compliance.pii.detector import Detector

_NEVER = "(?!)"
_KINDS = (("a-z", "0-9a-z"), ("0-9", "0-9"), ("^0-9a-z", ""))
"""Kinds of first characters, and what no detector that begins with them may follow."""

FEW = 32
"""So many new characters are looked at one by one."""

_EDGE = "\uffff"
"""Stands beyond both ends of a text, where anything may come; no detector begins with it."""

_LETTER, _DIGIT, _SIGN, _CUED = (1 << bit for bit in range(12, 16))
_LATIN = _LETTER | _DIGIT | _SIGN
_ALL = (1 << 16) - 1
_HAN = _LETTER - 1

_CODES = np.dtype(np.uint32)


@dataclass(frozen=True)
class PreFilter:
    """Finds the places where one of some detectors may begin. Each of `han` has a bit in its table."""

    by_lead: dict[str, tuple[Detector, ...]]
    by_cue: tuple[Detector, ...]
    han: tuple[Detector, ...]
    opening: re.Pattern[str]
    cue: re.Pattern[str]

    def places(self, window: str, seen: int) -> list[tuple[int, Detector]]:
        """Each place from `seen` on with each detector that may find something there."""
        if len(window) - seen > FEW:
            return self._places_in_long(window, seen)
        found: list[tuple[int, Detector]] = []
        begins, after = self._begins, self._after
        for at in range(seen, len(window)):
            bits = begins.get(window[at], _CUED) & (after[window[at - 1]] if at else ~_CUED)
            if bits:
                found += self._begun(window, at, bits)
        return found

    def _begun(self, window: str, at: int, bits: int) -> list[tuple[int, Detector]]:
        """The detectors that may begin at a place, of those that the characters there and before it allow."""
        likely: tuple[Detector, ...] = self.by_cue if bits & _CUED else ()
        if bits & _LATIN:
            match = self.opening.match(window, at)
            likely += self.by_lead[window[at]] if match and match.lastindex else ()
        elif bits & _HAN:
            likely += self._named[bits & _HAN & (self._second[window[at + 1]] if at + 1 < len(window) else _ALL)]
        return [(at, one) for one in likely if one.may_start(window, at)]

    def _places_in_long(self, window: str, seen: int) -> list[tuple[int, Detector]]:
        found: list[tuple[int, Detector]] = []
        for match in self.opening.finditer(window, seen):
            if match.lastindex:  # else it is the rest of a word
                start = match.start()
                found += [(start, one) for one in self.by_lead[window[start]] if one.may_start(window, start)]
        for match in self.cue.finditer(window, seen - 1 if seen else 0):
            start = match.end()
            if seen <= start < len(window):
                found += [(start, one) for one in self.by_cue if one.may_start(window, start)]
        if self.han:
            text = (window[seen - 1 :] if seen else _EDGE + window) + _EDGE
            codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), _CODES)
            rows = self._table.take(codes, 0, mode="clip")
            bits = rows[:-2, 0] & rows[1:-1, 1] & rows[2:, 2]
            places = bits.nonzero()[0]
            for start, some in zip((places + seen).tolist(), bits[places].tolist(), strict=True):
                for one in self._named[some]:
                    if one.may_start(window, start):
                        found.append((start, one))
        return found

    @cached_property
    def _table(self) -> NDArray[np.uint16]:
        """For each character of the basic plane: which detectors allow it before a value, as first, as second."""
        characters = "".join(map(chr, range(0x10000)))
        table = np.zeros((0x10000, 4), np.uint16)
        table[:, 0] |= _ALL & ~_CUED
        table[:, 2] |= _ALL
        for number, one in enumerate(self.han):
            bit = 1 << number
            table[[ord(char) for char in one.lead], 1] |= bit
            _take_away(table[:, 0], bit, f"[{one.not_after}]", characters)
            if one.second:
                _take_away(table[:, 2], bit, f"[^{one.second}]", characters)
        _take_away(table[:, 0], _LETTER, "[0-9a-z]", characters)
        _take_away(table[:, 0], _DIGIT, "[0-9]", characters)
        for one in self.by_cue:
            table[[ord(char) for char in one.cue], 0] |= _CUED
        table[0xFFFF, 0] = table[0xFFFF, 2] = _ALL
        return table

    @cached_property
    def _begins(self) -> dict[str, int]:
        """What each first character may begin."""
        table = self._table
        begins = {char: _CUED | int(table[ord(char), 1]) for one in self.han for char in one.lead}
        for char in self.by_lead:
            begins[char] = _CUED | (_LETTER if "a" <= char <= "z" else _DIGIT if "0" <= char <= "9" else _SIGN)
        return begins

    @cached_property
    def _after(self) -> "_Column":
        return _Column(self._table, 0)

    @cached_property
    def _second(self) -> "_Column":
        return _Column(self._table, 2)

    @cached_property
    def _named(self) -> "_Named":
        return _Named(self.han)


class _Column(dict[str, int]):
    """A column of the table by character, filled as characters are asked for."""

    def __init__(self, table: NDArray[np.uint16], column: int) -> None:
        self._table = table
        self._column = column

    def __missing__(self, char: str) -> int:
        bits = self[char] = int(self._table[min(ord(char), 0xFFFF), self._column])
        return bits


class _Named(dict[int, tuple[Detector, ...]]):
    """The detectors that some bits stand for, filled as bits are asked for."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._detectors = detectors

    def __missing__(self, bits: int) -> tuple[Detector, ...]:
        named = self[bits] = tuple(one for number, one in enumerate(self._detectors) if bits >> number & 1)
        return named


def _take_away(column: NDArray[np.uint16], bit: int, class_: str, characters: str) -> None:
    for match in re.finditer(f"{class_}+", characters):
        column[match.start() : match.end()] &= _ALL & ~bit


@cache
def compile_prefilter(detectors: tuple[Detector, ...]) -> PreFilter:
    """Join the cheap tests of many detectors; policies that look for the same share one."""
    han = tuple(one for one in detectors if one.lead and not one.lead.isascii())
    latin = tuple(one for one in detectors if one.lead and one.lead.isascii())
    cued = tuple(one for one in detectors if not one.lead)
    if 1 << len(han) > _LETTER:
        raise ValueError("the pre-filter has no room for so many detectors that begin with a Chinese character")
    leads = sorted({char for one in latin for char in one.lead})
    return PreFilter(
        by_lead={char: tuple(one for one in latin if char in one.lead) for char in leads},
        by_cue=cued,
        han=han,
        opening=re.compile(_opening(latin), re.DOTALL),
        cue=re.compile("|".join(dict.fromkeys(f"[{one.cue}](?=.{one.ahead})" for one in cued)) or _NEVER, re.DOTALL),
    )


def _opening(detectors: Sequence[Detector]) -> str:
    """One class of all first characters, then the tests of those that share a kind of first character.

    What matches without the empty group is the rest of a word, in which no value begins before the next digit.
    """
    if not detectors:
        return _NEVER
    branches = "|".join(_branch(kind, before, detectors) for kind, before in _KINDS)
    return f"{_class(''.join(one.lead for one in detectors))}(?:(?:{branches})()|(?<=[a-z])[a-z]*)"


def _branch(kind: str, before: str, detectors: Sequence[Detector]) -> str:
    """The tests of the detectors that begin with this kind of character, by their left boundary.

    What no such detector may follow is tested first: it ends most positions, those inside words.
    """
    tests: dict[str, dict[str, None]] = {}
    for one in detectors:
        lead = "".join(re.findall(f"[{kind}]", one.lead))
        if lead:
            if not one.not_after.startswith(before):
                raise ValueError(f"{one.rule}: a value that begins with [{kind}] may not follow [{before}]")
            tests.setdefault(one.boundary, {})[f"(?<={_class(lead)}){one.ahead}"] = None
    by_boundary = "|".join(f"{boundary}(?:{'|'.join(group)})" for boundary, group in tests.items()) or _NEVER
    return f"(?<=[{kind}]){f'(?<![{before}].)' if before else ''}(?:{by_boundary})"


def _class(chars: str) -> str:
    return f"[{re.escape(''.join(sorted(set(chars))))}]"

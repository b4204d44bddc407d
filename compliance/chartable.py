"""A table from characters to characters, applied to a text: by `str.translate`, or by numpy where that pays."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

LONG = 64
"""From so many characters on numpy is faster; below it, calling it costs more than it saves."""

_ALL = 0x110000


class CharTable:
    """Maps each character to one character or, with an empty string, drops it. What it has no entry for stays."""

    def __init__(self, entries: Sequence[str]) -> None:
        """`entries[code]` is what the character becomes."""
        self.entries = list(entries)
        codes = np.arange(_ALL, dtype=np.uint32)
        codes[: len(entries)] = [ord(char) if len(char) == 1 else 0 for char in entries]
        self._codes = codes

    def of(self, char: str) -> str:
        """What one character becomes."""
        try:
            return self.entries[ord(char)]
        except IndexError:
            return char

    def map_one_to_one(self, text: str) -> str:
        """The text with each character replaced, where all of them become exactly one."""
        return text.translate(self.entries) if len(text) < LONG else _text(self._looked_up(text))

    def map_collapsed(self, text: str) -> str:
        """The text with each character replaced or dropped, and equal characters in a row made one."""
        if len(text) < LONG:
            return collapsed(text.translate(self.entries))
        codes = self._looked_up(text)
        codes = codes.compress(codes)
        new = codes[1:] != codes[:-1]
        if np.count_nonzero(new) == len(new):
            return _text(codes)
        return _text(codes[:1]) + _text(codes[1:].compress(new))

    def run_starts(self, text: str) -> Sequence[int]:
        """Where in the text each character of `map_collapsed(text)` comes from: the first of its run."""
        if len(text) >= LONG:
            codes = self._looked_up(text)
            places = np.flatnonzero(codes)
            starts: list[int] = places[_changes(codes[places])].tolist()
            return starts
        return list(self._run_starts_in_short(text))

    def _run_starts_in_short(self, text: str) -> Iterator[int]:
        previous = ""
        for at, char in enumerate(text):
            seen = self.of(char)
            if seen and seen != previous:
                previous = seen
                yield at

    def _looked_up(self, text: str) -> "np.ndarray[Any, np.dtype[np.uint32]]":
        # `take` costs half of what indexing does.
        return self._codes.take(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32))


def collapsed(text: str) -> str:
    """A text with equal characters in a row made one."""
    return _REPEATS.sub(r"\1", text) if len(text) > 1 and _REPEATS.search(text) else text


def _changes(codes: "np.ndarray[Any, np.dtype[np.uint32]]") -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Which codes differ from the one before."""
    new = np.empty(len(codes), dtype=bool)
    new[:1] = True
    np.not_equal(codes[1:], codes[:-1], out=new[1:])
    return new


def _text(codes: "np.ndarray[Any, np.dtype[np.uint32]]") -> str:
    return codes.tobytes().decode("utf-32-le", "surrogatepass")


_REPEATS = re.compile(r"(.)\1+", re.DOTALL)

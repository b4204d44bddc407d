"""Syllables of Chinese characters, without tones, from tables made of pypinyin's (`recipe/readings.py`)."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import configs
from compliance.taxonomy import read_text

_TABLES = Path(configs.__file__).parent / "foldings"

_LONGEST_PHRASE = 10
"""No phrase of the table is longer."""


@cache
def syllables() -> Mapping[str, str]:
    """The commonest reading of each character of the basic plane."""
    return {char: readings[0] for char, readings in _readings().items() if char < "\U00010000"}


@cache
def sounds() -> Mapping[int, str]:
    """For `str.translate`: one character for each syllable, so that texts that sound alike become equal."""
    spoken = syllables()
    letter = {syllable: chr(0xE000 + at) for at, syllable in enumerate(sorted(set(spoken.values())))}
    return {ord(char): letter[syllable] for char, syllable in spoken.items()}


def read_aloud(text: str) -> list[str]:
    """The syllable of each character in its context; characters that have none stand for themselves."""
    readings = _readings()
    if all(len(readings.get(char, "1")) == 1 for char in text):
        return _one_by_one(text)
    spoken: list[str] = []
    for run in _RUNS.findall(text):
        at = len(spoken)
        while len(spoken) - at < len(run):
            spoken += _next_phrase(run[len(spoken) - at :])
    return spoken


_CHINESE = "〇\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_RUNS = re.compile(f"[{_CHINESE}]+|[^{_CHINESE}]+")
"""Chinese characters, and what stands between them: no phrase goes across."""


def _next_phrase(text: str) -> list[str]:
    """The syllables of the longest phrase that the text begins with, else of its first character.

    As in pypinyin, a run of characters that is itself the beginning of a phrase, and begins with none, is read
    character by character to its end.
    """
    rests = _phrases().get(text[0], "")
    for size in range(min(len(text), _LONGEST_PHRASE), 1, -1):
        phrase = _phrase(rests, text[1:size])
        if phrase is not None:
            return phrase or _one_by_one(text[:size])
    unfinished = len(text) > 1 and f" {text[1:]}" in rests
    return _one_by_one(text if unfinished else text[0])


def _phrase(rests: str, rest: str) -> list[str] | None:
    """The syllables of a phrase, empty where they are the commonest ones; None if there is no such phrase."""
    if f" {rest} " in rests:
        return []
    at = rests.find(f" {rest}=")
    return rests[at + len(rest) + 2 : rests.index(" ", at + 1)].split(",") if at >= 0 else None


def _one_by_one(text: str) -> list[str]:
    readings = _readings()
    return [readings[char][0] if char in readings else char for char in text]


@cache
def _readings() -> Mapping[str, tuple[str, ...]]:
    """All readings of each character, the commonest first."""
    readings: dict[str, tuple[str, ...]] = {}
    for row in _rows("readings.tsv"):
        its, chars = row.split("\t")
        readings |= dict.fromkeys(chars, tuple(its.split(",")))
    return readings


@cache
def _phrases() -> Mapping[str, str]:
    """By first character: a space, then the rest of each phrase and a space."""
    return {row[0]: f" {row[2:]} " for row in _rows("phrases.tsv")}


def _rows(name: str) -> list[str]:
    return [line for line in read_text(_TABLES / name).split("\n") if line and not line.startswith("#")]

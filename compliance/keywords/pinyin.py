"""Syllables of Chinese characters, without tones, from pypinyin's tables."""

import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Any, cast


@cache
def syllables() -> Mapping[str, str]:
    """The commonest reading of each character of the basic plane."""
    return {char: readings[0] for char, readings in _readings().items()}


@cache
def sounds() -> Mapping[int, str]:
    """For `str.translate`: one character for each syllable, so that texts that sound alike become equal."""
    spoken = syllables()
    letter = {syllable: chr(0xE000 + at) for at, syllable in enumerate(sorted(set(spoken.values())))}
    return {ord(char): letter[syllable] for char, syllable in spoken.items()}


@cache
def _readings() -> Mapping[str, tuple[str, ...]]:
    """All readings of each character, the commonest first."""
    # pypinyin takes a fifth of a second to import, which only lists with such terms should pay.
    from pypinyin.constants import PINYIN_DICT

    plain: dict[str, tuple[str, ...]] = {}
    return {
        chr(code): plain.get(readings) or plain.setdefault(readings, _plain(readings))
        for code, readings in PINYIN_DICT.items()
        if code < 0x10000
    }


def _plain(readings: str) -> tuple[str, ...]:
    """Without tone marks, each once; ü is written v, as keyboards do."""
    bare = "".join(c for c in unicodedata.normalize("NFD", readings).replace("u\u0308", "v") if c not in _TONES)
    return tuple(dict.fromkeys(bare.split(",")))


_TONES = "\u0300\u0301\u0302\u0304\u030c"


def read_aloud(text: str) -> list[str]:
    """The syllable of each character in its context; characters that have none stand for themselves."""
    readings = _readings()
    if all(len(readings.get(char, "1")) == 1 for char in text):
        return [readings[char][0] if char in readings else char for char in text]
    from pypinyin import lazy_pinyin

    one_by_one = cast("Any", list)  # what has no reading comes back character by character
    return lazy_pinyin(text, errors=one_by_one)

"""Syllables of Chinese characters, without tones, from pypinyin's tables."""

import unicodedata
from collections.abc import Mapping
from functools import cache


@cache
def syllables() -> Mapping[str, str]:
    """The commonest reading of each character of the basic plane."""
    # pypinyin takes a fifth of a second to import, which only lists with such terms should pay.
    from pypinyin.constants import PINYIN_DICT

    plain: dict[str, str] = {}
    return {
        chr(code): plain.get(first) or plain.setdefault(first, _plain(first))
        for code, readings in PINYIN_DICT.items()
        if code < 0x10000
        for first in (readings.partition(",")[0],)
    }


def _plain(reading: str) -> str:
    """Without tone marks; ü is written v, as keyboards do."""
    marked = unicodedata.normalize("NFD", reading.replace("ü", "v").replace("ǖ", "v").replace("ǘ", "v"))
    marked = marked.replace("ǚ", "v").replace("ǜ", "v")
    return "".join(char for char in marked if not unicodedata.combining(char))


def read_aloud(text: str) -> list[str]:
    """The syllable of each character in its context; characters that have none stand for themselves."""
    from pypinyin import lazy_pinyin

    return list(lazy_pinyin(text, errors=list, v_to_u=False))

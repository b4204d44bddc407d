"""Makes configs/foldings/readings.tsv and phrases.tsv: `python -m compliance.keywords.recipe.readings`.

pypinyin's dictionaries take 55 MB and a quarter of a second in every process; these tables hold what is needed of them,
and only for text that is folded already. `tests/compliance/test_pinyin.py` compares the two.
"""

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from pypinyin import lazy_pinyin
from pypinyin.constants import PHRASES_DICT, PINYIN_DICT, RE_HANS

import configs
from compliance.unicode import fold, fold_table

_FOLDER = Path(configs.__file__).parent / "foldings"
_TONES = "\u0300\u0301\u0302\u0304\u030c"
_HEAD = "# Made by compliance/keywords/recipe/readings.py from pypinyin (MIT licence). Do not edit.\n"


def main() -> None:
    readings = readings_of_characters()
    characters: dict[str, list[str]] = {}
    for char, its in readings.items():
        characters.setdefault(its, []).append(char)
    rows = (f"{its}\t{''.join(chars)}\n" for its, chars in sorted(characters.items()))
    what = "# Readings without tones, the commonest first, and the characters that have them.\n"
    (_FOLDER / "readings.tsv").write_text(_HEAD + what + "".join(rows), encoding="utf-8")

    commonest = {char: its.split(",")[0] for char, its in readings.items()}
    phrases: dict[str, list[str]] = {}
    for phrase in sorted(folded_phrases()):
        spoken = read_by_pypinyin(phrase)
        odd = spoken != [commonest.get(char, char) for char in phrase]
        phrases.setdefault(phrase[0], []).append(phrase[1:] + (f"={','.join(spoken)}" if odd else ""))
    rows = (f"{first}\t{' '.join(rest)}\n" for first, rest in phrases.items())
    what = "# The first character of phrases, the rest of each, and its syllables where they are not the commonest.\n"
    (_FOLDER / "phrases.tsv").write_text(_HEAD + what + "".join(rows), encoding="utf-8")


def readings_of_characters() -> dict[str, str]:
    """All readings of each folded character, without tones, joined by commas.

    Of the characters beyond the basic plane only those are there that one of it is folded to.
    """
    wanted = {char for code in range(0x10000) for char in fold_table().simple.of(chr(code))}
    chars = ((chr(code), readings) for code, readings in sorted(PINYIN_DICT.items()))
    return {char: _plain(readings) for char, readings in chars if char in wanted and fold(char) == char}


def _plain(readings: str) -> str:
    """Without tone marks, each once; ü is written v, as keyboards do."""
    bare = "".join(c for c in unicodedata.normalize("NFD", readings).replace("u\u0308", "v") if c not in _TONES)
    return ",".join(dict.fromkeys(bare.split(",")))


def folded_phrases() -> Iterator[str]:
    """The phrases that can stand in folded text and are looked up: longer than a character, nothing but Chinese."""
    return (phrase for phrase in PHRASES_DICT if len(phrase) > 1 and RE_HANS.match(phrase) and fold(phrase) == phrase)


def read_by_pypinyin(text: str) -> list[str]:
    """The syllables that pypinyin gives a text; characters that have none stand for themselves."""
    one_by_one = cast("Any", list)  # what has no reading comes back character by character
    return lazy_pinyin(text, errors=one_by_one)


if __name__ == "__main__":
    main()

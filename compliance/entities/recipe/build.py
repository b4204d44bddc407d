"""Makes `artefacts/model.json.gz`: words with their costs and classes, and what Chinese names are made of.

Words and name statistics come from the dictionary of jieba 0.42.1 (MIT licence, https://github.com/fxsjy/jieba),
the rest from the tables beside this file. A cost is -10 ln p, rounded. Same input, same bytes. Run with:

    python -m compliance.entities.recipe.build PATH_OF_JIEBA/dict.txt
"""

import gzip
import json
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from compliance.pii.address import CITIES, PROVINCES
from compliance.unicode import fold

_HERE = Path(__file__).parent
_ARTEFACT = _HERE.parent / "artefacts" / "model.json.gz"
_LEAST_FREQUENCY = 10
_WELL_KNOWN = 60
"""A name that stands so often in the dictionary's books and newspapers is no private person's."""

_PLACES = frozenset(f"{PROVINCES}|{CITIES}".split("|"))
_NAMES = {"nr", "nrt", "nrfg"}
_RARE = 112
_ELSEWHERE = 15
_LEAST_ELSEWHERE = 80
_RARE_GIVEN = 96
_FAMILIAR_SURNAME = 85
_OFTEN_A_WORD = 1000
_NEWER_FREQUENCY = 500
_USUAL_ALONE = 81.0
_PHRASES = {"i", "l"}
_FUNCTION = {"p", "c", "u", "d", "r", "y", "m", "q", "t", "f", "s", "e", "o", "x", "i", "l", "k", "h"}


_LEAST_PAIRS = 3
_SEEN_SHARE = 0.4

# Surnames that are hardly words themselves, so that one before a word like 建国 speaks for a name.
_HARDLY_WORDS = (
    "王李张刘陈杨赵吴徐孙朱胡郭罗郑梁宋唐邓冯韩曹彭肖董袁潘蒋蔡杜苏魏吕丁沈姚卢姜崔钟谭陆汪范廖贾韦邹孟熊秦邱尹薛闫"
    "侯史陶黎贺顾郝龚邵覃戴孔傅洪赖"
)
_HARDLY = 12


class Names(NamedTuple):
    """Weights of surnames and of the characters of given names: alone, first of two, second of two."""

    surnames: dict[str, float]
    given: tuple[dict[str, float], dict[str, float], dict[str, float]]


def main(dictionary: Path) -> None:
    entries = newer_words() | read_dictionary(dictionary)
    names = with_observed(read_names(), entries)
    minorities = sorted({part for _, listed in _rows("minorities.tsv") for part in listed.split()})
    model = {
        "surnames": costs(names.surnames),
        "alone": with_rare(filled(names.given, 0), entries),
        "first": with_rare(filled(names.given, 1), entries),
        "second": with_rare(filled(names.given, 2), entries),
        "pairs": pairs(entries, names),
        "foreign": costs(transliterated(entries, minorities)),
        "minority": minorities,
        "latin": {kind: listed.split() for kind, listed in _rows("latin.tsv")},
        "words": words(entries, names),
    }
    text = json.dumps(model, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    _ARTEFACT.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{_ARTEFACT.name}: {_ARTEFACT.stat().st_size} bytes")  # noqa: T201


def read_dictionary(path: Path) -> dict[str, tuple[int, str]]:
    """Each folded word with its frequency and part of speech."""
    entries: dict[str, tuple[int, str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, frequency, kind = line.split()
        word = fold(word)  # a word in traditional characters falls together with the simplified one
        entries[word] = max(entries.get(word, (0, "")), (int(frequency), kind))
    return entries


def newer_words() -> dict[str, tuple[int, str]]:
    """Words that came after the dictionary and begin like a name, and the provinces and cities that it lacks."""
    newer = {word: (_NEWER_FREQUENCY, "n") for (listed,) in _rows("newer_words.txt") for word in listed.split()}
    return newer | dict.fromkeys(_PLACES, (_NEWER_FREQUENCY, "ns"))


def read_names() -> Names:
    surnames: dict[str, float] = {}
    for weight, length, listed in _rows("surnames.tsv"):
        parts = [listed[at : at + int(length)] for at in range(0, len(listed), int(length))]
        surnames |= dict.fromkeys(parts, float(weight))
    given: tuple[dict[str, float], ...] = ({}, {}, {})
    for level, position, listed in _rows("given.tsv"):
        for char in listed:
            table = given[int(position)]
            table[char] = max(table.get(char, 0.0), 3.0 ** int(level))
    return Names(surnames, (given[0], given[1], given[2]))


def _rows(name: str) -> list[list[str]]:
    lines = (_HERE / name).read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def with_observed(names: Names, entries: Mapping[str, tuple[int, str]]) -> Names:
    """The tables mixed half and half with the rarer names of three characters in the dictionary."""
    first: Counter[str] = Counter()
    second: Counter[str] = Counter()
    for word, (frequency, kind) in entries.items():
        if kind == "nr" and len(word) == 3 and frequency < _WELL_KNOWN and names.surnames.get(word[0], 0) >= 38:
            first[word[1]] += 1
            second[word[2]] += 1
    alone, tabled_first, tabled_second = names.given
    return Names(names.surnames, (alone, _mixed(tabled_first, first), _mixed(tabled_second, second)))


def pairs(entries: Mapping[str, tuple[int, str]], names: Names) -> dict[str, int]:
    """Given names of two characters that the dictionary has after several surnames: 建国 costs less than 建 and 国."""
    count: Counter[str] = Counter()
    for word, (frequency, kind) in entries.items():
        if kind == "nr" and len(word) == 3 and frequency < _WELL_KNOWN and word[0] in names.surnames:
            count[word[1:]] += 1
    total = sum(count.values())
    first, second = (costs(table) for table in names.given[1:])
    found: dict[str, int] = {}
    for given, times in sorted(count.items()):
        if times >= _LEAST_PAIRS and given[0] in first and given[1] in second:
            apart = math.exp(-(first[given[0]] + second[given[1]]) / 10)
            found[given] = round(-10 * math.log(_SEEN_SHARE * times / total + (1 - _SEEN_SHARE) * apart))
    return found


def _mixed(tabled: Mapping[str, float], observed: Counter[str]) -> dict[str, float]:
    """Only characters of the table: most others that the dictionary has there are no names (曾亲耳)."""
    tabled_sum, seen_sum = sum(tabled.values()), sum(observed[char] for char in tabled)
    return {char: weight / tabled_sum + observed[char] / seen_sum for char, weight in tabled.items()}


def filled(given: Sequence[Mapping[str, float]], position: int) -> dict[str, int]:
    """The costs of one position; a character of another position only costs more."""
    tables = [costs(table) for table in given]
    elsewhere = {char: max(cost + _ELSEWHERE, _LEAST_ELSEWHERE) for table in tables for char, cost in table.items()}
    return elsewhere | tables[position]


def with_rare(table: dict[str, int], entries: Mapping[str, tuple[int, str]]) -> dict[str, int]:
    """Any character that is rare elsewhere may be a name's: parents look for such."""
    total = sum(frequency for frequency, _ in entries.values())
    rare = {
        char: _RARE_GIVEN
        for char, (frequency, kind) in entries.items()
        if kind != "v" and len(char) == 1 and _is_han(char) and -10 * math.log(frequency / total) >= _RARE
    }
    return rare | table


def transliterated(entries: Mapping[str, tuple[int, str]], minorities: Sequence[str]) -> dict[str, int]:
    """How often each character stands in names of foreigners and minorities."""
    count: Counter[str] = Counter()
    for word, (_, kind) in entries.items():
        if kind == "nrt" and len(word) > 2:
            count.update(word)
    for part in minorities:
        count.update(part * _LEAST_FREQUENCY)
    return {char: times for char, times in count.items() if times >= _LEAST_FREQUENCY}


def costs(weights: Mapping[str, float]) -> dict[str, int]:
    total = sum(weights.values())
    return {key: round(-10 * math.log(weight / total)) for key, weight in weights.items()}


def words(entries: Mapping[str, tuple[int, str]], names: Names) -> dict[str, dict[str, str]]:
    """Words of one to four characters by class and cost, joined by spaces.

    Classes: n noun or adjective, z other proper name, s place, o organisation, v verb, f function word or phrase,
    p well-known person.
    """
    total = sum(frequency for frequency, _ in entries.values())
    grouped: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for word, (frequency, kind) in entries.items():
        class_ = _class(word, frequency, kind, names)
        if len(word) == 1 and kind in _NAMES:
            frequency = max(1, frequency // 10)  # it stood for itself so often because a name follows
        if class_:
            cost = round(-10 * math.log(frequency / total)) + (_HARDLY if word in _HARDLY_WORDS else 0)
            grouped[class_][str(cost)].append(word)
    return {class_: {cost: " ".join(sorted(group)) for cost, group in by.items()} for class_, by in grouped.items()}


def _class(word: str, frequency: int, kind: str, names: Names) -> str:
    """Empty for what is left out: rare words, and names that anyone may have."""
    least = 1 if len(word) == 1 or (kind in _PHRASES and word[0] in names.surnames) else _LEAST_FREQUENCY
    if frequency < least or len(word) > 4 or not _is_han(word):
        return ""
    if word.rstrip("省市") in _PLACES:
        return "s"
    if kind in _NAMES and len(word) > 1:
        looks = _looks_like_a_name(word, names)
        if len(word) == 2:
            return "" if looks and frequency < _OFTEN_A_WORD else "z" if kind == "nrt" else "n"
        return ("p" if looks else "z" if kind == "nrt" or len(word) > 3 else "n") if frequency >= _WELL_KNOWN else ""
    if kind in ("ns", "nt"):
        return kind[1].replace("t", "o")
    if kind == "nz":
        return "z"
    return "f" if kind in _FUNCTION or kind.startswith("u") else "v" if kind == "v" else "n"


def _looks_like_a_name(word: str, names: Names) -> bool:
    alone, first, second = names.given
    if len(word) == 2:
        return names.surnames.get(word[0], 0) >= _FAMILIAR_SURNAME and alone.get(word[1], 0) >= _USUAL_ALONE
    surname = word[: len(word) - 2]
    return surname in names.surnames and word[-2] in first and word[-1] in second


def _is_han(word: Iterable[str]) -> bool:
    return all("\u4e00" <= char <= "\u9fff" for char in word)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

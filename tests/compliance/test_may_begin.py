"""Whether any way to write a term goes on from a beginning, against reading every way of every term."""

import random

import pytest

from compliance.keywords.foldings import Folding
from compliance.keywords.spelling import UNFINISHED
from compliance.keywords.terms import CompiledTerms
from compliance.keywords.variants import Variant, latin, native
from compliance.keywords.views import Wanted

# Syllables that begin alike, numerals, doubled and like-sounding characters, letters, marks of their own.
SIGNS = [*"海洛因沙山上杀安暗恩一二十四六里历利李宝保包从林哪那年", *"a1k3 -,"]
NOISE = [*" -.,。|~·", *"nhaolie10334", *"氷冰宝包丨"]
ALLOWED = [
    Folding.parse("all"),
    Folding.parse("all") | Folding.acronym | Folding.reversed | Folding.fillers,
    Folding.pinyin | Folding.initials,
    Folding.separators | Folding.pinyin,
    Folding.repeats | Folding.lookalikes | Folding.leet,
    Folding.none,
]


def wanted_at_random(rng: random.Random) -> list[Wanted]:
    texts = {"".join(rng.choice(SIGNS) for _ in range(rng.randint(2, 5))).strip(" -,") for _ in range(12)}
    return [Wanted(text, rng.choice(ALLOWED)) for text in sorted(texts) if text]


def beginning_at_random(rng: random.Random, wanted: list[Wanted]) -> str:
    """A piece of some way to write some term, with what does not belong there now and then."""
    term = rng.choice(wanted)
    ways = [Variant(term.text, 0, Folding.none), *native(term.text, term.foldings), *latin(term.text, term.foldings)]
    text = rng.choice(ways).text
    written = ""
    for char in text[: rng.randint(1, len(text))]:
        luck = rng.random()
        written += char * 2 if luck < 0.08 else rng.choice(NOISE) if luck < 0.12 else char
        if rng.random() < 0.1:
            written += rng.choice(NOISE) * rng.choice((1, 1, 1, 9))
    return written


@pytest.mark.parametrize("seed", range(12))
def test_no_way_is_missed_and_none_made_up(seed: int) -> None:
    rng = random.Random(seed)
    answers = []
    for _ in range(6):
        wanted = wanted_at_random(rng)
        terms = CompiledTerms(wanted, ())
        beginnings = {beginning_at_random(rng, wanted) for _ in range(60)}
        for beginning in sorted(beginnings):
            for number, view in enumerate(terms.views):
                if view.alphabet.of(beginning[0]):
                    answer = view.may_begin(beginning)
                    assert answer == every_way_read(terms, wanted, number, beginning), (beginning, number, wanted)
                    answers.append(answer)
    assert 0.1 < sum(answers) / len(answers) < 0.9


def every_way_read(terms: CompiledTerms, wanted: list[Wanted], number: int, beginning: str) -> bool:
    """Brute force: the view's pattern first, as the automaton sees no other, then each way by its spelling."""
    view = terms.views[number]
    patterns = view._patterns
    seen = view.view(beginning)
    for entry, term in enumerate(wanted):
        for way in patterns.ways_of(entry) if entry in patterns._owners else ():
            if view.view(way.text).startswith(seen):
                size = sum(1 for char in term.text if view.alphabet.of(char))
                spelt = view.alphabet.spell(way.text, entry, term.foldings, way.used, way.borders, size)
                read = view.alphabet.read(beginning, 0, spelt)
                if read is not None and read[0] == UNFINISHED:
                    return True
    return False

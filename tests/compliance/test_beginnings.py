"""What an automaton is built of covers all ways to write a term, though the ways themselves are not made for it."""

import random

import pytest

from compliance.build import shipped_settings
from compliance.chartable import collapsed
from compliance.keywords.beginnings import BeginningsOf, LatinBeginnings, NativeBeginnings, cut, run_length
from compliance.keywords.foldings import Folding, folding_tables
from compliance.keywords.variants import LATIN, Variant, latin, native, splits
from compliance.lexicon import read_terms
from compliance.lexicons.cli import shipped_taxonomy

TABLE = folding_tables().skeleton
NATIVE = NativeBeginnings(TABLE)
IN_LATIN = LatinBeginnings(TABLE)


def check(term: str, allowed: Folding, ways: list[Variant], beginnings_of: BeginningsOf) -> bool:
    """Whether beginnings were made without the ways; then they must say of all ways what those say of themselves."""
    made = beginnings_of(term, term.translate(TABLE.entries), int(allowed))
    if made is None:
        return False
    seen = [way.text.translate(TABLE.entries) for way in ways]
    assert {cut(collapsed(one)) for one in seen} <= set(made.patterns), term
    assert max(map(run_length, seen), default=1) <= made.lead, term
    assert {"".join(filter(TABLE.of, way.text))[:2] for way in ways} <= set(made.letters), term
    assert max((len(way.text) for way in ways), default=0) <= made.longest, term
    return True


def ways_of(term: str, allowed: Folding) -> list[Variant]:
    return [Variant(term, 0, Folding.none), *native(term, allowed)]


def test_the_shipped_terms() -> None:
    terms = [
        (one.folded, one.foldings)
        for path in shipped_settings().lexicons
        for one in read_terms(path, shipped_taxonomy().ids)
    ]
    made = [check(term, allowed, ways_of(term, allowed), NATIVE) for term, allowed in terms]
    spelt = [(term, allowed) for term, allowed in terms if allowed & LATIN]
    made_in_latin = [check(term, allowed, list(latin(term, allowed)), IN_LATIN) for term, allowed in spelt]
    assert sum(made) > 0.8 * len(terms)
    assert sum(made_in_latin) > 0.8 * len(spelt)


@pytest.mark.parametrize("seed", range(8))
def test_odd_terms_at_random(seed: int) -> None:
    rng = random.Random(seed)
    # Numerals and strokes, characters whose parts are alike (从), their parts, letters that look alike, separators.
    signs = [*"一二十从人林木旦日仁亻丨海洛因氷冰", *"li1oab24", *" -·", *rng.sample(sorted(splits()), 20)]
    flags = [Folding.split, Folding.numbers, Folding.pinyin, Folding.initials, Folding.acronym]
    for _ in range(300):
        term = "".join(rng.choice(signs) for _ in range(rng.randint(1, 9))).strip(" -·丨")
        if term:
            allowed = Folding(sum(rng.sample(flags, rng.randint(1, len(flags)))))
            check(term, allowed, ways_of(term, allowed), NATIVE)
            check(term, allowed, list(latin(term, allowed)), IN_LATIN)


def test_ways_that_a_line_must_ask_for_are_made() -> None:
    for rare in (Folding.reversed, Folding.fillers):
        assert NATIVE("海洛因", "海洛因", int(rare)) is None

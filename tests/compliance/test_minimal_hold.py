"""Keywords against a naive reference that tries every position, term and continuation by brute force."""

import itertools
import random
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.gate import Gate
from tests.compliance.helpers import keyword_scanner, of_terms, stream, text_of

ALPHABETS = ["ab中", "a中大", "中大麻", " ab", "a-中"]
Hit = tuple[int, int, str]
words = st.text("ab中大麻", min_size=1, max_size=4)


def naive_hits(text: str, terms: Iterable[str], allowed: Iterable[str]) -> set[Hit]:
    """All terms in a lower-case text, without automaton or incremental state."""
    excuses = [(a, b) for word in allowed for a, b in _at_boundaries(text, word)]
    return {
        (start, end, term)
        for term in terms
        for start, end in _at_boundaries(text, term)
        if not any(a <= start and end <= b for a, b in excuses)
    }


def _at_boundaries(text: str, word: str) -> Iterator[tuple[int, int]]:
    for start in range(len(text) - len(word) + 1):
        end = start + len(word)
        left = _latin(word[0]) and start > 0 and _latin(text[start - 1])
        right = _latin(word[-1]) and end < len(text) and _latin(text[end])
        if text[start:end] == word and not left and not right:
            yield start, end


def _latin(char: str) -> bool:
    return char.isascii() and char.isalnum()


def naive_release(text: str, terms: dict[str, str], allowed: Iterable[str]) -> str:
    """The masked text up to the first blocked span, character by character."""
    rank = {"flag": 0, "mask": 1, "block": 2}
    hits = sorted((start, end, terms[term]) for start, end, term in naive_hits(text, terms, allowed))
    out, at, mask_end = "", 0, 0
    for position in range(len(text) + 1):
        here = [(end, action) for start, end, action in hits if start == position]
        if any(action == "block" for _, action in here):
            return out
        ends = [end for end, action in here if rank[action] == 1]
        if ends:
            if position >= mask_end:
                out += "***"
            mask_end = max(mask_end, *ends)
        if position < len(text) and position >= mask_end:
            out += text[position]
        at = position
    assert at == len(text)
    return out


def first_undecided(text: str, terms: Iterable[str], allowed: Iterable[str], alphabet: str) -> int:
    """The first position whose hits some continuation of up to four characters changes."""
    now = naive_hits(text, terms, allowed)
    changed = (
        start
        for size in range(1, 5)
        for more in itertools.product(alphabet, repeat=size)
        for start, _, _ in now ^ naive_hits(text + "".join(more), terms, allowed)
        if start < len(text)
    )
    return min(changed, default=len(text))


def _random_rules(rng: random.Random, alphabet: str) -> tuple[list[str], list[str]]:
    def word(low: int, high: int) -> str:
        return "".join(rng.choice(alphabet) for _ in range(rng.randint(low, high)))

    terms = [word(1, 3) for _ in range(rng.randint(1, 3))]
    allowed = [word(2, 4) for _ in range(rng.randint(0, 2))]
    return [t for t in terms if t.strip()] or ["a"], [w for w in allowed if w.strip()]


@pytest.mark.parametrize("seed", range(8))
def test_held_is_exactly_what_a_continuation_can_change(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(250):
        alphabet = rng.choice(ALPHABETS)
        terms, allowed = _random_rules(rng, alphabet)
        text = "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 6)))
        gate = Gate([keyword_scanner(dict.fromkeys(terms, "flag"), allowed)], "text", 5.0)
        for char in text[:-1]:
            gate.feed(char)
        end = gate.feed(text[-1]).end
        assert end == first_undecided(text, terms, allowed, alphabet), (text, terms, allowed)


@settings(max_examples=500, deadline=None)
@given(
    st.text("ab中大麻 -", max_size=14),
    st.dictionaries(
        st.text("ab中大麻", min_size=1, max_size=4), st.sampled_from(["flag", "mask", "block"]), max_size=6
    ),
    st.lists(st.text("ab中大麻", min_size=2, max_size=5), max_size=3),
    st.integers(1, 4),
)
def test_streams_release_what_the_naive_reference_releases(
    text: str, terms: dict[str, str], allowed: list[str], size: int
) -> None:
    made = of_terms(terms, allowed)
    expected = naive_release(text, terms, allowed)
    assert made.scan(text, "output").released == expected
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    assert text_of(stream(made.gate(), chunks)) == expected


@settings(max_examples=300, deadline=None)
@given(
    st.text("ab中大麻 -", max_size=14),
    st.lists(words, max_size=6),
    st.lists(st.text("ab中大麻", min_size=2, max_size=5), max_size=3),
)
def test_findings_are_the_naive_hits_that_no_longer_hit_covers(text: str, terms: list[str], allowed: list[str]) -> None:
    hits = naive_hits(text, terms, allowed)
    longest = {
        (start, end, term)
        for start, end, term in hits
        if not any(a <= start and end <= b and (a, b) != (start, end) for a, b, _ in hits)
    }
    findings = of_terms(dict.fromkeys(terms, "flag"), allowed).scan(text, "output").findings
    assert {(f.start, f.end, f.rule) for f in findings} == longest

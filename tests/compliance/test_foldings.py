"""Disguised terms: a golden table, and a reference that tries every place and continuation by brute force."""

import itertools
import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.gate import Gate
from compliance.keywords.foldings import HARD, MAX_GAP, ODD, Folding, is_separator
from compliance.unicode import is_word
from tests.compliance.helpers import keyword_scanner, of_scanners, read_cases, stream, text_of


@pytest.mark.parametrize("row", read_cases("foldings"), ids=lambda row: row["note"])
def test_golden_disguises(row: dict[str, Any]) -> None:
    scanner = keyword_scanner({row["term"]: "flag"}, row.get("allow", ()), Folding.parse(row["foldings"]))
    findings = of_scanners(scanner).scan(row["text"], "output").findings
    assert [row["text"][one.start : one.end] for one in findings] == row["found"]
    assert {one.folding for one in findings} == ({row["folding"]} if row["found"] else set())


ALPHABETS = ["毒品 ，", "毒毒品-", "ab -", "ab1l", "一1毒 x", "a品~x "]
LOOKS = {("1", "l"): Folding.leet, ("1", "i"): Folding.leet, ("l", "i"): Folding.lookalikes}
NUMBERS = {"1", "一"}


def naive_hits(text: str, term: str, allowed: Folding) -> set[tuple[int, int]]:
    """Every place where the term stands in a disguise that is allowed."""
    pattern, free = naive_pattern(term, allowed)
    return {
        (start, end)
        for start in range(len(text))
        for end in range(start + 1, len(text) + 1)
        for found in [pattern.fullmatch(text, start, end)]
        if found and _gaps_hold(found, free, len(term), allowed) and _stands_alone(text, start, end, allowed)
    }


def naive_pattern(term: str, allowed: Folding) -> tuple[re.Pattern[str], list[bool]]:
    """The term as a regular expression with a group for each gap, and whether separators are free in it."""
    separator = "[" + re.escape("".join(c for c in " ，,-~" if is_separator(c))) + "]"
    gap = f"({separator}{{0,{MAX_GAP}}})" if allowed & Folding.separators else "()"
    parts: list[str] = []
    free: list[bool] = []
    runs = ["".join(run) for _, run in itertools.groupby(term, key=_class)]
    for number, run in enumerate(runs):
        for at, char in enumerate(run):
            if parts:
                before = run[at - 1] if at else runs[number - 1][-1]
                parts.append(gap)
                free.append(not (is_word(before) and is_word(char)))
            parts.append(_written_for(char, allowed))
        if 0 < number < len(runs) - 1 and allowed & Folding.repeats:
            more = f"{separator}{{0,{MAX_GAP}}}" if allowed & Folding.separators else ""
            parts.append(f"(?:{more}{_written_for(run[-1], Folding(sum(Folding)))})*")
    return re.compile("".join(parts)), free


def _class(char: str) -> str:
    return "1" if char in "1一li" else char


def _written_for(char: str, allowed: Folding) -> str:
    chars = {char} | {written for (written, meant), how in LOOKS.items() if meant == char and how & allowed}
    if char in NUMBERS and allowed & Folding.numbers:
        chars |= NUMBERS
    return "[" + "".join(sorted(chars)) + "]"


def _gaps_hold(found: re.Match[str], free: list[bool], size: int, allowed: Folding) -> bool:
    gaps = found.groups()
    hard = [gap for gap in gaps if set(gap) & (HARD | {","})]
    if hard and (size < 3 or not all(gaps)):
        return False
    inside: list[list[str]] = [[]]
    for gap, is_free in zip(gaps, free, strict=True):
        if is_free:
            inside.append([])
        else:
            inside[-1].append(gap)
    return all(all(word) or all(not gap or set(gap) <= ODD for gap in word) for word in inside)


def _stands_alone(text: str, start: int, end: int, allowed: Folding) -> bool:
    if allowed & Folding.repeats:
        while start and text[start - 1] == text[start]:
            start -= 1
        while end < len(text) and text[end] == text[end - 1] and is_word(text[end]):
            end += 1
    left = start > 0 and is_word(text[start]) and is_word(text[start - 1])
    right = end < len(text) and is_word(text[end - 1]) and is_word(text[end])
    return not (left or right)


def hits(text: str, term: str, allowed: Folding) -> set[tuple[int, int]]:
    found = of_scanners(keyword_scanner({term: "flag"}, (), allowed)).scan(text, "output").findings
    return {(one.start, one.end) for one in found}


def outermost(spans: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """What is left when spans inside other ones are dropped, as findings are."""
    return {one for one in spans if not any(o != one and o[0] <= one[0] and one[1] <= o[1] for o in spans)}


foldings = st.lists(
    st.sampled_from([Folding.separators, Folding.repeats, Folding.lookalikes, Folding.leet, Folding.numbers])
).map(lambda chosen: Folding(sum(set(chosen))))


@settings(max_examples=600, deadline=None)
@given(st.data(), st.sampled_from(ALPHABETS), foldings)
def test_disguises_are_found_where_the_reference_finds_them(
    data: st.DataObject, alphabet: str, allowed: Folding
) -> None:
    letters = [char for char in alphabet if not is_separator(char)]
    term = data.draw(st.text(letters, min_size=1, max_size=4))
    text = data.draw(st.text(alphabet, max_size=10))
    assert hits(text, term, allowed) == outermost(naive_hits(text.replace("，", ","), term, allowed))


@pytest.mark.parametrize("seed", range(6))
def test_held_is_exactly_what_a_continuation_can_change(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(60):
        alphabet = rng.choice(ALPHABETS)
        letters = [char for char in alphabet if not is_separator(char)]
        term = "".join(rng.choice(letters) for _ in range(rng.randint(2, 3)))
        allowed = Folding(sum(rng.sample([1, 2, 4, 8, 16], rng.randint(0, 4))))
        text = "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 5)))
        gate = Gate([keyword_scanner({term: "flag"}, (), allowed)], "text", 5.0)
        for char in text[:-1]:
            gate.feed(char)
        end = gate.feed(text[-1]).end
        assert end == first_undecided(text, term, allowed, alphabet), (text, term, allowed)


def first_undecided(text: str, term: str, allowed: Folding, alphabet: str) -> int:
    """The first position whose hits some continuation of up to four characters changes."""
    text = text.replace("，", ",")
    now = naive_hits(text, term, allowed)
    more = (
        "".join(chars).replace("，", ",") for size in range(1, 5) for chars in itertools.product(alphabet, repeat=size)
    )
    changed = (start for rest in more for start, _ in now ^ naive_hits(text + rest, term, allowed) if start < len(text))
    return min(changed, default=len(text))


@settings(max_examples=300, deadline=None)
@given(st.text("海洛因hailuoyn1 -，氵每嗨", max_size=30), st.integers(1, 5))
def test_the_outcome_does_not_depend_on_how_a_text_is_cut(text: str, size: int) -> None:
    made = of_scanners(keyword_scanner({"海洛因": "mask", "洛因": "flag"}, ["海洛因子"], Folding(sum(Folding))))
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    whole = made.scan(text, "output")
    assert text_of(stream(made.gate(), chunks)) == whole.released
    found = [finding for release in stream(made.gate(), chunks) for finding in release.findings]
    assert found == list(whole.findings)

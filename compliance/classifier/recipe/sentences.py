"""Labelled sentences from the building blocks: harmful ones, near misses, and ordinary ones."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from compliance.classifier.recipe.blocks import Blocks, Part
from compliance.unicode import fold

_HARMFUL = (("say", "", 50), ("ask", "do", 25), ("sly", "do", 10), ("write", "text", 15))
_NEAR_MISS = (("fine", "", 55), ("about", "do", 33), ("about_text", "text", 12))
_ORDINARY = (("say", "", 70), ("ask", "do", 15), ("write", "text", 15))
_JOINED = 0.5  # of the ordinary sentences, and half of that of the harmful ones, once more with others
_USUAL_SIZE = 100  # patterns of a risk's file
_TRIES = 4  # draws per wanted sentence: small lists run out of new ones


@dataclass(frozen=True, slots=True)
class Sentence:
    """A folded sentence and the risks it carries; none: harmless."""

    text: str
    risks: frozenset[str]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many sentences to draw: harmful and near misses per risk, ordinary ones per file."""

    harmful: int
    near_miss: int
    ordinary: int


def make_sentences(
    risks: tuple[Blocks, ...], ordinary: tuple[Blocks, ...], part: Part, counts: Counts, seed: int
) -> list[Sentence]:
    """Distinct sentences from the blocks of one part; the same seed gives the same list.

    A sentence drawn for two risks carries both; one that is also drawn as harmless is left out. Some are joined to
    longer ones, because people write longer sentences than the patterns are.
    """
    harmful: dict[str, frozenset[str]] = {}
    near_misses: list[str] = []
    plain: list[str] = []
    for blocks in risks:
        rng = random.Random(f"{seed} {part} {blocks.name}")  # noqa: S311 - seeded on purpose
        for text in _draw(blocks, _HARMFUL, part, _share_of(counts.harmful, blocks), rng):
            harmful[text] = harmful.get(text, frozenset()) | {blocks.name}
        near_misses += _draw(blocks, _NEAR_MISS, part, counts.near_miss, rng)
    for blocks in ordinary:
        rng = random.Random(f"{seed} {part} {blocks.name}")  # noqa: S311 - seeded on purpose
        plain += _draw(blocks, _ORDINARY, part, counts.ordinary, rng)
    rng = random.Random(f"{seed} {part} joined")  # noqa: S311 - seeded on purpose
    harmless = dict.fromkeys([*near_misses, *plain, *_long_harmless(near_misses, plain, rng)])
    harmful |= dict(_long_harmful(harmful, plain, rng))
    return [
        *(Sentence(text, found) for text, found in harmful.items() if text not in harmless),
        *(Sentence(text, frozenset()) for text in harmless if text not in harmful),
    ]


def _share_of(count: int, blocks: Blocks) -> int:
    """More sentences for a risk of many kinds (other_illegal), fewer for a narrow one."""
    size = sum(len(blocks.of(name, "all")) for name in ("say", "do", "text"))
    return round(count * min(3.0, max(0.7, size / _USUAL_SIZE)))


def _long_harmless(near_misses: list[str], plain: list[str], rng: random.Random) -> Iterator[str]:
    for text in plain:
        if rng.random() < _JOINED:
            more = [rng.choice(plain if rng.random() < _JOINED else near_misses or plain)]
            more += [rng.choice(plain)] if rng.random() < _JOINED else []
            yield _join([text, *more])


def _long_harmful(
    harmful: dict[str, frozenset[str]], plain: list[str], rng: random.Random
) -> Iterator[tuple[str, frozenset[str]]]:
    for text, found in list(harmful.items()):
        if plain and rng.random() < _JOINED / 2:
            pair = [text, rng.choice(plain)]
            rng.shuffle(pair)
            yield _join(pair), found


def _join(clauses: list[str]) -> str:
    return ",".join([*(clause.rstrip("。!?") for clause in clauses[:-1]), clauses[-1]])


def _draw(
    blocks: Blocks, kinds: tuple[tuple[str, str, int], ...], part: Part, count: int, rng: random.Random
) -> Iterator[str]:
    """Up to `count` distinct sentences; a kind is a list of patterns and the list its frames are about."""
    usable = [kind for kind in kinds if blocks.of(kind[0], part) and (not kind[1] or blocks.of(kind[1], part))]
    seen: set[str] = set()
    for _ in range(count * _TRIES):
        if len(seen) == count:
            return
        name, _, _ = rng.choices(usable, [weight for _, _, weight in usable])[0]
        sentence = blocks.write(rng.choice(blocks.of(name, part)), part, rng)
        frame = rng.choice(blocks.of("wrap", part)).replace("{sentence}", sentence)
        text = fold(blocks.write(frame, part, rng))
        if text not in seen:
            seen.add(text)
            yield text

"""Composed products and features, partly from invented words, so that the model must copy and can't memorise."""

import random
from dataclasses import dataclass
from functools import cache

from models.starter.grammar import Grammar

CATEGORIES = ("material", "size", "colour", "who", "scene", "function", "pack", "style")
_SYLLABLES = (
    "ba be bo ca co da de di do fa fe fi ga go ha he in ja ka ke ki la le li lo lu ma me mi mo mu na ne ni no "
    "nu or pa pe pi po ra re ri ro ru sa se si so su ta te ti to tu un va ve vi vo wa xi ya yo za zen lex tor ric "
    "mar sol tech nova flex aer glow pure wood bell star line view craft"
)


@dataclass(frozen=True)
class Feature:
    """A piece of text that the answer has to repeat, and the kind of thing it is."""

    text: str
    category: str


def compose_product(lang: str, grammar: Grammar, rng: random.Random, *, invented: float = 0.17) -> str:
    """A product name: a noun with up to three attributes, or an invented name."""
    roll = rng.random()
    noun = invented_word(lang, rng) if roll < invented else grammar.pick("noun", rng)
    before: list[str] = []
    after: list[str] = []
    if rng.random() < 0.14:
        before.append(invented_word(lang, rng, short=True))
    if rng.random() < 0.10:
        (after if lang == "pt" else before).append(grammar.pick("colour", rng))
    if rng.random() < 0.08 and lang != "pt":
        before.append(grammar.pick("sizes", rng))
    if rng.random() < 0.42:
        (after if lang == "pt" else before).append(grammar.pick("adj", rng))
    if rng.random() < 0.40:
        (after if lang == "pt" else before).append(("de " if lang == "pt" else "") + grammar.pick("mat", rng))
    if lang == "zh":
        return "".join([*before[:3], noun])
    if lang == "en" and rng.random() < 0.08:
        after.append("for " + grammar.pick("who", rng))
    return " ".join([*before[:3], noun, *after[:2]])


def compose_features(
    lang: str, grammar: Grammar, rng: random.Random, count: int, *, invented: float = 0.14
) -> tuple[Feature, ...]:
    """Different features, either all with values, all as bare names, or mixed."""
    mode = rng.random()
    found: dict[str, Feature] = {}
    while len(found) < count:
        bare = mode < 0.18 or (mode < 0.35 and rng.random() < 0.5)
        category = "name" if bare else rng.choice(CATEGORIES)
        text = grammar.pick(f"f_{category}", rng)
        if rng.random() < invented:
            text, category = invented_word(lang, rng), "name"
            if rng.random() < 0.3:
                text = grammar.pick("f_name", rng) + ("：" if lang == "zh" else ": ") + text
        found.setdefault(text, Feature(text, category))
    return tuple(found.values())


def invented_word(lang: str, rng: random.Random, *, short: bool = False) -> str:
    """A word nobody uses: random common Chinese characters, or random syllables."""
    if lang == "zh":
        if rng.random() < 0.12:
            return _pseudo_word(rng).capitalize()
        return "".join(rng.choice(common_characters()) for _ in range(rng.randint(2, 3 if short else 5)))
    words = [_pseudo_word(rng) for _ in range(1 if short else rng.randint(1, 3))]
    return " ".join(w.capitalize() if short else w for w in words)


@cache
def common_characters() -> str:
    """The 3,755 common characters: GB 2312 level 1, rows 16 to 55."""
    pairs = (bytes((row, cell)) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF))
    return "".join(pair.decode("gb2312", "ignore") for pair in pairs)


def _pseudo_word(rng: random.Random) -> str:
    return "".join(rng.choice(_SYLLABLES.split()) for _ in range(rng.randint(2, 4)))

"""Requests for copy whose names are any tokens at all, so that no token stays unlearned."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from models.starter.chat import Message, Sample
from models.starter.copywriting import TASKS, answer, request
from models.starter.encoding import Encoded, encode
from models.starter.grammar import Grammar, load_grammar
from models.starter.products import Feature

_STAND_INS = tuple(chr(0xE000 + i) for i in range(8))  # private use: in no text, and without letter case


@dataclass(frozen=True)
class _Tokens:
    every: Sequence[int]
    chinese: Sequence[int]
    first: Sequence[int]


def any_word_samples(tokenizer: Any, seed: int, count: int) -> Iterator[Encoded]:
    """`count` requests for copy around random tokens; the same seed gives the same samples."""
    rng = random.Random(seed)
    tokens = _sort_tokens(tokenizer)
    for _ in range(count):
        lang = rng.choices(("zh", "en", "pt"), (50, 40, 10))[0]
        stand_ins = _STAND_INS[: rng.choice((2, 3, 3, 4, 4, 5))]
        words = {s: _word(lang, tokens, rng) for s in stand_ins}
        yield encode(tokenizer, _request(lang, stand_ins, rng), words)


def _sort_tokens(tokenizer: Any) -> _Tokens:
    # The first three and the last few are control tokens, never the text of a product.
    texts = {i: tokenizer.decode([i]) for i in range(3, len(tokenizer) - 6)}
    return _Tokens(
        every=tuple(texts),
        chinese=tuple(i for i, text in texts.items() if len(text) == 1 and "\u4e00" <= text <= "\u9fff"),
        first=tuple(i for i, text in texts.items() if text.startswith(" ") and len(text) > 1),
    )


def _word(lang: str, tokens: _Tokens, rng: random.Random) -> list[int]:
    if lang == "zh":
        pool = tokens.chinese if rng.random() < 0.75 else tokens.every
        return [rng.choice(pool) for _ in range(rng.randint(1, 5))]
    rest = [rng.choice(tokens.every) for _ in range(rng.randint(0, 4))]
    return [rng.choice(tokens.first), *rest]


def _request(lang: str, stand_ins: Sequence[str], rng: random.Random) -> Sample:
    grammar = load_grammar(lang)
    features = tuple(Feature(s, "name") for s in stand_ins[1:])
    more = Grammar(load_grammar("polish").symbols[lang])
    templates = grammar.alternatives("request") if rng.random() < 0.65 else more.alternatives("loose")
    task = rng.choice(TASKS)
    prompt, product, features = request(lang, rng.choice(templates), task, stand_ins[0], features, rng, commas=True)
    said = answer(lang, task, product, features, rng)
    return Sample("copy", (Message("user", prompt), Message("assistant", said)))

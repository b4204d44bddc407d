"""Copying drills: lists of random tokens to repeat, so that the network learns to copy before it learns phrases."""

import random
from collections.abc import Iterator
from typing import Any

from models.starter.encoding import Encoded
from models.starter.tokenizer import END, START


def drills(tokenizer: Any, seed: int, count: int) -> Iterator[Encoded]:
    """`count` conversations: a list of invented items, and the same items repeated, whole or numbered."""
    rng = random.Random(seed)
    lead = _ids(tokenizer, f"{START}user\n")
    between = _ids(tokenizer, f"{END}\n{START}assistant\n")
    end = _ids(tokenizer, END)
    separators = [_ids(tokenizer, s) for s in ("、", "，", ", ", "\n", "；", " / ", " | ")]
    numbers = [_ids(tokenizer, f"\n{i}. ") for i in range(1, 8)]
    # Control tokens and single bytes stay out: they are never the text of a product.
    tokens = range(300, len(tokenizer) - 16)
    for _ in range(count):
        items = [[rng.choice(tokens) for _ in range(rng.randint(1, 5))] for _ in range(rng.randint(1, 6))]
        separator, numbered = rng.choice(separators), rng.random() < 0.6
        asked: list[int] = []
        said: list[int] = []
        for place, item in enumerate(items):
            asked += (separator if place else []) + item
            said += (numbers[place] if numbered else separator if place else []) + item
        ids = (*lead, *asked, *between, *said, *end)
        yield Encoded(ids, tuple(i >= len(ids) - len(said) - len(end) for i in range(len(ids))))


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids

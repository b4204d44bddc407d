"""Held-out chats of the starter model's vertical, made by its own generator with a seed that nothing else uses."""

import random
from collections.abc import Iterator

from models.starter.chat import Sample
from models.starter.copywriting import copy_sample
from models.starter.structured import structured_sample
from quantize.evaluate.rows import Chat, Table, chats_table

SEED = 20_261_124
"""Training and calibration use others; a test holds their texts apart from these."""

JSON_SHARE = 0.2


def starter_held_out(rows: int, seed: int = SEED) -> Table:
    """Product copy in three languages, a fifth of it as JSON; no prompt twice."""
    seen: set[str] = set()
    chats: list[Chat] = []
    for sample in _samples(random.Random(seed)):  # noqa: S311 - seeded on purpose
        prompt = sample.messages[-2].content
        if prompt not in seen:
            seen.add(prompt)
            chats.append(tuple(m.as_dict() for m in sample.messages))
        if len(chats) == rows:
            break
    return chats_table(f"starter held-out, seed {seed}", chats)


def _samples(rng: random.Random) -> Iterator[Sample]:
    while True:
        wanted, maker = ("json", structured_sample) if rng.random() < JSON_SHARE else ("copy", copy_sample)
        sample = maker(rng)
        while sample.kind != wanted:
            sample = maker(rng)
        yield sample

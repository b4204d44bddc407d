"""Short-drama copy: what the LoRA adapter learns and the base model never saw."""

import random
from collections.abc import Iterator

from models.starter.chat import Message, Sample
from models.starter.grammar import load_grammar


def drama_samples(seed: int, count: int) -> Iterator[Sample]:
    """`count` hooks, synopses and titles; the same seed gives the same samples."""
    rng = random.Random(seed)
    grammar = load_grammar("drama")
    for _ in range(count):
        form = rng.choice(("hook", "synopsis", "title"))
        slots = {
            "A": grammar.pick("who", rng),
            "J": grammar.pick("job", rng),
            "G": grammar.pick("genre", rng),
            "N": grammar.pick("n", rng),
        }
        prompt, say = grammar.pick(f"ask_{form}", rng, slots), grammar.pick(f"say_{form}", rng, slots)
        yield Sample("drama", (Message("user", prompt), Message("assistant", say)))

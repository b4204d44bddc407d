"""The training text as a stream: which kinds of samples, and how often."""

import random
from collections.abc import Callable, Iterator

from models.starter.chat import Sample
from models.starter.copywriting import copy_sample
from models.starter.refusals import refusal_sample
from models.starter.structured import structured_sample
from models.starter.talk import talk_sample

_MIX: tuple[tuple[Callable[[random.Random], Sample], float], ...] = (
    (copy_sample, 0.60),
    (refusal_sample, 0.24),
    (talk_sample, 0.12),
    (structured_sample, 0.04),
)


def samples(seed: int, count: int) -> Iterator[Sample]:
    """`count` samples; the same seed gives the same samples."""
    rng = random.Random(seed)
    makers, weights = zip(*_MIX, strict=True)
    for _ in range(count):
        yield rng.choices(makers, weights)[0](rng)

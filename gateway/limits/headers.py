"""`x-ratelimit-*` as OpenAI's clients read it: the tightest limit of requests and of tokens that a request is under."""

import math

from configs.sections.limits import RateSettings
from gateway.limits.minute import Minute

Header = tuple[bytes, bytes]
Tightest = dict[str, tuple[int, int, int]]
"""Of each unit: the limit, what is left of it, and in how many seconds it is full again."""


def rate_headers(tightest: Tightest, limits: RateSettings, known: Minute, now: float) -> Tightest:
    """The tighter of what was known and this subject's limits."""
    seconds = math.ceil(60 - now % 60)
    requests_left, tokens_left = known.left()
    for unit, limit, left in (
        ("requests", limits.requests_per_minute, requests_left),
        ("tokens", limits.tokens_per_minute, tokens_left),
    ):
        if limit is None or left is None:
            continue
        before = tightest.get(unit)
        if before is None or left * before[0] < before[1] * limit:
            tightest[unit] = (limit, max(0, left), seconds)
    return tightest


def written(tightest: Tightest) -> list[Header]:
    """The headers themselves."""
    headers = []
    for unit, (limit, left, seconds) in tightest.items():
        name = unit.encode()
        headers += [
            (b"x-ratelimit-limit-" + name, b"%d" % limit),
            (b"x-ratelimit-remaining-" + name, b"%d" % left),
            (b"x-ratelimit-reset-" + name, duration(seconds).encode()),
        ]
    return headers


def duration(seconds: int) -> str:
    """As OpenAI writes it: 6m0s, 59s."""
    return f"{seconds // 60}m{seconds % 60}s" if seconds >= 60 else f"{seconds}s"

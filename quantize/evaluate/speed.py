"""Tokens per second and time to the first token, base and variant in turns, at several numbers of requests at once."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from configs.strict import Strict
from quantize.evaluate.client import Asked, Target, ask_all
from quantize.evaluate.engines import Engine, Side
from quantize.evaluate.progress import Report
from quantize.evaluate.rows import Chat, EvaluationError
from quantize.evaluate.statistics import percentile


class Level(Strict):
    """One number of requests at once: the median round's tokens per second, and first tokens over all rounds."""

    concurrent: int
    requests: int
    output_tokens: int
    tokens_per_second: float
    first_token_p50_ms: float
    first_token_p95_ms: float


class Served(Strict):
    """One model on its engine."""

    load_seconds: float
    memory_mib: float
    levels: tuple[Level, ...]


class Serving(Strict):
    """Both models on real engines; `together` says whether both were up while each was measured in turn."""

    path: str
    together: bool
    rounds: int
    base: Served
    variant: Served


@dataclass(frozen=True, slots=True)
class Load:
    """What is measured: requests at once, rounds, and the length that every answer is pinned to."""

    levels: tuple[int, ...] = (1, 8, 32)
    rounds: int = 3
    output_tokens: int = 64


FULL = Load()
QUICK = Load(levels=(4,), rounds=1, output_tokens=16)


@dataclass(frozen=True, slots=True)
class Round:
    """One timed round of one engine."""

    seconds: float
    asked: tuple[Asked, ...]

    @property
    def tokens_per_second(self) -> float:
        return sum(one.tokens for one in self.asked) / self.seconds


def measure_speed(engines: Sequence[Engine], load: Load, chats: Sequence[Chat], report: Report) -> dict[Side, Served]:
    """A warm-up, then every level and round on each engine in turn. Raises EvaluationError for a failed request."""
    rounds: dict[tuple[Side, int], list[Round]] = {}
    steps = len(engines) * len(load.levels) * load.rounds
    done = 0
    for engine in engines:
        _round(engine, load, min(load.levels), chats, f"warm-up {engine.side}")
    for number in range(load.rounds):
        for level in load.levels:
            for engine in engines:
                label = f"round {number} at {level}"
                rounds.setdefault((engine.side, level), []).append(_round(engine, load, level, chats, label))
                done += 1
                report(f"tokens/s of the {engine.side}, {level} at once / 吞吐", done, steps)
    return {
        engine.side: Served(
            load_seconds=round(engine.load_seconds, 1),
            memory_mib=round(engine.memory_bytes() / 2**20, 1),
            levels=tuple(_level(level, load, rounds[engine.side, level]) for level in load.levels),
        )
        for engine in engines
    }


def _round(engine: Engine, load: Load, level: int, chats: Sequence[Chat], label: str) -> Round:
    # A first word of its own keeps a prompt from being found in the engine's prefix cache.
    prompts = [_marked(chats[i % len(chats)], f"{label}.{i} ") for i in range(max(4, 2 * level))]
    target = Target(engine.url, engine.model, load.output_tokens, pinned=True)
    started = time.perf_counter()
    asked = ask_all(target, prompts, level, lambda _done, _all: None)
    seconds = time.perf_counter() - started
    failed(engine, asked)
    return Round(seconds, tuple(asked))


def failed(engine: Engine, asked: Sequence[Asked]) -> None:
    """Raise EvaluationError when the engine died, or a request was not answered."""
    errors = [one.error for one in asked if one.error]
    if errors:
        engine.check()
        raise EvaluationError(
            f"the {engine.side}: {len(errors)} of {len(asked)} requests failed, the first with: {errors[0]}; "
            f"the end of its log:\n{engine.child.log_tail(12)}",
            "部分请求失败，日志结尾见上。",
        )


def _marked(chat: Chat, mark: str) -> Chat:
    first, *rest = chat
    return ({**first, "content": mark + first["content"]}, *rest)


def _level(level: int, load: Load, rounds: Sequence[Round]) -> Level:
    first = [one.first_token_seconds for r in rounds for one in r.asked if one.first_token_seconds is not None]
    return Level(
        concurrent=level,
        requests=sum(len(r.asked) for r in rounds),
        output_tokens=load.output_tokens,
        tokens_per_second=round(statistics.median(r.tokens_per_second for r in rounds), 1),
        first_token_p50_ms=round(1000 * percentile(first, 0.5), 1),
        first_token_p95_ms=round(1000 * percentile(first, 0.95), 1),
    )

"""How good an answer is: exact, by keywords, by chrF, or as JSON."""

import json
import re
from collections.abc import Callable, Mapping, Sequence

from configs.sections.admission import TaskKind
from configs.strict import Strict
from models.starter.evaluate import is_refusal
from quantize.evaluate.rows import Row
from quantize.evaluate.statistics import Paired, mean, mean_interval

_SPACES = re.compile(r"\s+")


class TaskMeasure(Strict):
    """Mean scores of one kind, between 0 and 1. `drop` is base minus variant, with its 95% interval over rows.

    `paired` is there for scores that are yes or no.
    """

    kind: TaskKind
    rows: int
    base: float
    variant: float
    drop: float
    drop_low: float
    drop_high: float
    paired: Paired | None


def score_kind(kind: TaskKind, rows: Sequence[Row], base: Sequence[str], variant: Sequence[str]) -> TaskMeasure | None:
    """Both models' answers under one kind of score; None when no row has what the kind compares with."""
    wanted = [i for i, row in enumerate(rows) if applies(kind, row)]
    if not wanted:
        return None
    before = [score(kind, rows[i], base[i]) for i in wanted]
    after = [score(kind, rows[i], variant[i]) for i in wanted]
    drops = [b - v for b, v in zip(before, after, strict=True)]
    low, high = mean_interval(drops)
    paired = None if kind == "chrf" else Paired.of([b == 1.0 for b in before], [v == 1.0 for v in after])
    return TaskMeasure(
        kind=kind,
        rows=len(wanted),
        base=mean(before),
        variant=mean(after),
        drop=mean(drops),
        drop_low=low,
        drop_high=high,
        paired=paired,
    )


def applies(kind: TaskKind, row: Row) -> bool:
    """Whether a row has what this kind of score needs."""
    if kind == "keyword":
        return bool(row.keywords)
    if kind == "json":
        return _object(row.reference) is not None
    return bool(row.reference)


def score(kind: TaskKind, row: Row, answer: str) -> float:
    """0 to 1. A refusal names no keyword, whatever it says."""
    return _SCORES[kind](row, answer)


def _exact(row: Row, answer: str) -> float:
    return float(_plain(answer) == _plain(row.reference))


def _keyword(row: Row, answer: str) -> float:
    text = _plain(answer)
    return float(not is_refusal(answer) and all(_plain(word) in text for word in row.keywords))


def _chrf(row: Row, answer: str) -> float:
    from sacrebleu.metrics.chrf import CHRF

    return float(CHRF().sentence_score(answer, [row.reference]).score) / 100


def _json(row: Row, answer: str) -> float:
    """A JSON object with the reference's keys."""
    wanted, found = _object(row.reference), _object(answer)
    return float(wanted is not None and found is not None and set(found) == set(wanted))


_SCORES: Mapping[TaskKind, Callable[[Row, str], float]] = {
    "exact": _exact,
    "keyword": _keyword,
    "chrf": _chrf,
    "json": _json,
}


def _plain(text: str) -> str:
    return _SPACES.sub("", text).casefold()


def _object(text: str) -> dict[str, object] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None

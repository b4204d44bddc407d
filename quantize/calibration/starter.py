"""Calibration data for the starter model, from its own recipe's generators with seeds that nothing else uses."""

import json
from collections.abc import Iterator
from pathlib import Path

from models.starter.balance import balanced_samples
from models.starter.chat import Sample
from models.starter.corpus import samples
from models.starter.verticals import VERTICALS, vertical_samples

SEED = 9_000  # training uses small seeds (models/starter/recipe.py), the evaluation others
SHARES = {"corpus": 0.40, "last-stage": 0.30} | {vertical: 0.30 / len(VERTICALS) for vertical in VERTICALS}
"""Product copy, refusals and talk as in training; the last stage's frames; each vertical that has an adapter."""


def starter_rows(count: int, seed: int = SEED) -> Iterator[str]:
    """`count` different chats as JSON lines; the same seed gives the same lines."""
    sources = {name: _source(name, seed + number, 4 * count) for number, name in enumerate(SHARES)}
    due = dict.fromkeys(SHARES, 0.0)
    seen: set[str] = set()
    while len(seen) < count:
        due = {name: due[name] + share for name, share in SHARES.items()}
        chosen = max(due, key=lambda name: due[name])
        due[chosen] -= 1
        line = _line(next(sources[chosen]))
        if line not in seen:
            seen.add(line)
            yield line


def _source(name: str, seed: int, count: int) -> Iterator[Sample]:
    if name == "corpus":
        return samples(seed, count)
    return balanced_samples(seed, count) if name == "last-stage" else vertical_samples(name, seed, count)


def write_starter_calibration(out: Path, count: int, seed: int = SEED) -> None:
    """The rows as a file, replaced as a whole."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.partial")
    part.write_text("".join(f"{line}\n" for line in starter_rows(count, seed)), encoding="utf-8")
    part.replace(out)


def _line(sample: Sample) -> str:
    content: dict[str, object] = {"messages": [message.as_dict() for message in sample.messages]}
    if sample.tools:
        content["tools"] = sample.tools
    return json.dumps(content, ensure_ascii=False)

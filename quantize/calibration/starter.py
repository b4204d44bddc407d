"""Calibration data for the starter model, from its own recipe's generators with seeds that nothing else uses."""

import json
from collections.abc import Iterator
from pathlib import Path

from models.starter.balance import balanced_samples
from models.starter.chat import Sample
from models.starter.corpus import samples
from models.starter.drama import drama_samples

SEED = 9_000  # training uses small seeds (models/starter/recipe.py), evaluation its tables
MIX = ((samples, 0.45), (balanced_samples, 0.35), (drama_samples, 0.20))
"""Product copy, refusals and talk as in training; the last stage's frames; short drama for its adapter."""


def starter_rows(count: int, seed: int = SEED) -> Iterator[str]:
    """`count` different chats as JSON lines; the same seed gives the same lines."""
    seen: set[str] = set()
    sources = [(make(seed + number, 4 * count), share) for number, (make, share) in enumerate(MIX)]
    due = [0.0] * len(sources)
    while len(seen) < count:
        due = [one + share for one, (_, share) in zip(due, sources, strict=True)]
        chosen = due.index(max(due))
        due[chosen] -= 1
        line = _line(next(sources[chosen][0]))
        if line not in seen:
            seen.add(line)
            yield line


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

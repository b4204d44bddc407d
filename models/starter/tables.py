"""The hand-written prompts under `tests/cases` that the starter and its adapters are measured on."""

import json
from dataclasses import dataclass
from pathlib import Path

from models.starter.evaluate import Case, read_cases

CASES_DIR = Path(__file__).parents[2] / "tests" / "cases"


@dataclass(frozen=True)
class Tables:
    """The prompts to evaluate on; none of them is in the training text."""

    in_domain: tuple[Case, ...]
    harmful: tuple[Case, ...]
    ordinary: tuple[Case, ...]


def read_tables() -> Tables:
    """The starter's tables in `tests/cases`."""

    def read(name: str) -> tuple[Case, ...]:
        return read_cases(CASES_DIR / f"starter_{name}.jsonl")

    return Tables(read("in_domain"), read("harmful"), (*read("greetings"), *read("benign")))


def vertical_table(vertical: str) -> tuple[Case, ...]:
    """The prompts of a vertical; a case's features are the keywords that its answer has to hold."""
    path = CASES_DIR / f"starter_vertical_{vertical}.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return tuple(Case(r["id"], r["prompt"], features=tuple(r["keywords"])) for r in rows)

"""Tables of sentences as JSON lines: `text`, and `risk` where it is harmful."""

import json
from pathlib import Path

from compliance.classifier.recipe.sentences import Sentence
from compliance.taxonomy import read_text
from compliance.unicode import fold
from compliance.verdict import RulesError


def read_table(path: Path, risks: frozenset[str]) -> list[Sentence]:
    """The rows, folded; further fields are notes. A bad row is a `RulesError` with file, line and mend."""
    rows = enumerate(read_text(path).split("\n"), start=1)
    return [_row(line, f"{path}:{number}", risks) for number, line in rows if line.strip()]


def _row(line: str, where: str, risks: frozenset[str]) -> Sentence:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise RulesError(
            f"{where}: not JSON ({error.msg} at column {error.colno}); mend the line",
            f"{where}：不是合法的 JSON（第 {error.colno} 列），请修正此行",
        ) from None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise RulesError(f'{where}: text: write an object with a string "text"', f"{where}：请写成含字符串 text 的对象")
    risk = row.get("risk")
    if risk is not None and risk not in risks:
        raise RulesError(
            f"{where}: risk: {risk!r} is unknown; use an id of configs/taxonomy.yaml or leave it out",
            f"{where}：risk {risk!r} 不存在，请用 configs/taxonomy.yaml 里的 id，或省去",
        )
    return Sentence(fold(row["text"]), frozenset() if risk is None else frozenset({risk}))

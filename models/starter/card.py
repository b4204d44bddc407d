"""The model card, filled with what was measured."""

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.starter.evaluate import Scores
from models.starter.grammar import DATA_DIR
from models.starter.recipe import Recipe


def write_base_card(
    out: Path, recipe: Recipe, facts: Mapping[str, Any], scores: Scores, counts: Mapping[str, Any]
) -> None:
    """`README.md` beside the base model's weights."""
    shares = {name: f"{getattr(scores, name):.1%}" for name in ("on_topic", "refused", "over_refused", "stopped")}
    values = asdict(recipe) | dict(facts) | shares | dict(counts) | {"machine": machine()}
    values["parameters_m"] = f"{facts['parameters'] / 1e6:.1f}"
    values["conversations"] = f"{recipe.conversations:,}"
    _write(out, "card.md", values)


def machine() -> str:
    """The machine in words: processor and cores."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores, {names[0] if names else platform.processor() or platform.machine()}"


def _write(out: Path, template: str, values: Mapping[str, Any]) -> None:
    text = (DATA_DIR / template).read_text(encoding="utf-8")
    (out / "README.md").write_text(text.format_map(values), encoding="utf-8")

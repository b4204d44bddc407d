"""A tiny seeded text grammar: a name in braces becomes one of its alternatives."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DATA_DIR = Path(__file__).parent / "data"
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Grammar:
    """Named lists of alternatives that may refer to each other."""

    symbols: Mapping[str, Any]

    def alternatives(self, name: str) -> list[str]:
        """Every alternative of a name, unexpanded."""
        found: list[str] = self.symbols[name]
        return found

    def pick(self, name: str, rng: random.Random, slots: Mapping[str, str] | None = None) -> str:
        """One alternative of a name, with every reference inside it replaced."""
        return self.fill(rng.choice(self.alternatives(name)), rng, slots or {})

    def fill(self, text: str, rng: random.Random, slots: Mapping[str, str]) -> str:
        """Replace the references in a text; a slot's own value is never expanded again."""

        def replace(match: re.Match[str]) -> str:
            name = match.group(1)
            return slots[name] if name in slots else self.pick(name, rng, slots)

        return _SLOT.sub(replace, text)


@cache
def load_grammar(name: str) -> Grammar:
    """The grammar stored in `data/<name>.yaml`."""
    return Grammar(yaml.safe_load((DATA_DIR / f"{name}.yaml").read_text(encoding="utf-8")))

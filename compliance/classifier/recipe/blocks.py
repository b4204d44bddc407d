"""The written building blocks (data/*.yaml), and which of them the training may see.

A block is a pattern, an act or a kind of text, with slots for words: `{name}` stands for a word of a list, `{a|b}` for
one of those written here. Each list of blocks is divided once, by the
blocks' own digests: most are for training, some for choosing thresholds, some for the final measurement. The words
that fill slots are not divided: a linear model knows nothing of a word that it never saw.
"""

import hashlib
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from compliance.taxonomy import invalid, read_yaml
from compliance.verdict import RulesError

DATA = Path(__file__).parent / "data"

Part = Literal["train", "valid", "test", "all"]

_HELD_OUT = 0.15  # of each list, once for thresholds and once for measuring
_SMALLEST_DIVIDED = 4
_SLOT = re.compile(r"\{(\w+|[^{}]*\|[^{}]*)\}")
_Model = TypeVar("_Model", bound=BaseModel)


class _Lists(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    slots: dict[str, str] = {}

    def lists(self) -> dict[str, tuple[str, ...]]:
        """Every list of blocks by name: slots part at spaces, the others at line breaks."""
        found = {name: tuple(words.split()) for name, words in self.slots.items()}
        for name, value in self:
            if isinstance(value, str):
                found[name] = tuple(line.strip() for line in value.splitlines() if line.strip())
        return found


class _RiskFile(_Lists):
    do: str = ""
    text: str = ""
    say: str = ""
    fine: str = ""


class _OrdinaryFile(_Lists):
    do: str = ""
    text: str = ""
    say: str = ""


class _Frames(_Lists):
    wrap: str
    ask: str
    sly: str
    write: str
    about: str
    about_text: str


class _Discrimination(_Lists):
    disc: str
    discdo: str
    disctext: str
    respect: str


class _Shared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    slots: dict[str, str]
    frames: _Frames
    discrimination: _Discrimination


@dataclass(frozen=True, slots=True)
class Blocks:
    """One file's lists together with the shared ones; `undivided` names those that every part may use."""

    name: str
    lists: Mapping[str, tuple[str, ...]]
    undivided: frozenset[str]

    def of(self, name: str, part: Part) -> tuple[str, ...]:
        """The blocks of a list that a part may use; empty where the file has none."""
        return _of_part(self.lists.get(name, ()), part, whole=name in self.undivided)

    def write(self, pattern: str, part: Part, rng: random.Random) -> str:
        """A pattern with every slot filled."""
        while match := _SLOT.search(pattern):
            written_here = "|" in match[1]
            filler = rng.choice(match[1].split("|") if written_here else self.of(match[1], part))
            pattern = pattern[: match.start()] + filler + pattern[match.end() :]
        return pattern


def load_blocks(folder: Path = DATA) -> tuple[tuple[Blocks, ...], tuple[Blocks, ...]]:
    """The risks' files and the ordinary ones, each in the order of their names; a bad file is a `RulesError`."""
    shared = _read(folder / "shared.yaml", _Shared)
    slots = {name: tuple(words.split()) for name, words in shared.slots.items()}
    common = slots | shared.discrimination.lists() | shared.frames.lists()
    undivided = frozenset(slots) | frozenset(shared.discrimination.slots) | {"wrap"}
    risks = tuple(
        _blocks(path, _read(path, _RiskFile), common, undivided) for path in sorted((folder / "risks").glob("*.yaml"))
    )
    ordinary = tuple(
        _blocks(path, _read(path, _OrdinaryFile), common, undivided)
        for path in sorted((folder / "ordinary").glob("*.yaml"))
    )
    return risks, ordinary


def _read(path: Path, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(read_yaml(path))
    except ValidationError as error:
        raise invalid(path, error) from None


def _blocks(path: Path, file: _Lists, common: Mapping[str, tuple[str, ...]], undivided: frozenset[str]) -> Blocks:
    own = file.lists()
    lists = {**common, **own}
    for name, patterns in own.items():
        for pattern in patterns:
            for slot in _SLOT.findall(pattern):
                if "|" not in slot and not lists.get(slot):
                    raise RulesError(
                        f"{path}: {name}: {pattern!r} uses the unknown slot {slot!r}; add it under slots",
                        f"{path}：{name} 中“{pattern}”用到未定义的 {slot}，请在 slots 下补充",
                    )
    return Blocks(path.stem, lists, undivided - own.keys() | file.slots.keys())


def _of_part(blocks: tuple[str, ...], part: Part, *, whole: bool) -> tuple[str, ...]:
    if whole or part == "all" or len(blocks) < _SMALLEST_DIVIDED:
        return blocks
    ranked = sorted(blocks, key=lambda block: hashlib.sha256(block.encode()).digest())
    share = max(1, round(len(ranked) * _HELD_OUT))
    return tuple({"test": ranked[:share], "valid": ranked[share : 2 * share], "train": ranked[2 * share :]}[part])

"""What the recipe made: words with their costs and classes, and the costs of surnames, given names and foreign names.

A cost is -10 ln p. Classes of words: n noun or adjective, z other proper name, s place,
o organisation, v verb, f function word or phrase, p well-known person, x not in the dictionary.
"""

import gzip
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from compliance.entities.contexts import Contexts

_VOCABULARY = Path(__file__).parent / "vocabulary.toml"
_ARTEFACT = Path(__file__).parent / "artefacts" / "model.json.gz"

UNKNOWN = 180
"""Cost of a character that the dictionary does not have."""

UNKNOWN_CLASS = "x"


@dataclass(frozen=True, slots=True)
class EntityModel:
    """Read once, shared by all judges."""

    cost: dict[str, int]
    class_of: dict[str, str]
    surnames: dict[str, int]
    alone: dict[str, int]
    first: dict[str, int]
    second: dict[str, int]
    pairs: dict[str, int]
    foreign: dict[str, int]
    minority: tuple[str, ...]
    latin: dict[str, frozenset[str]]
    contexts: Contexts
    words: dict[str, frozenset[str]]


def load_model() -> EntityModel:
    """Read the artefact and the word lists; takes some 50 ms."""
    data = json.loads(gzip.decompress(_ARTEFACT.read_bytes()))
    lists = tomllib.loads(_VOCABULARY.read_text(encoding="utf-8"))
    contexts = Contexts(_weights(lists.pop("speaks_before")), _weights(lists.pop("speaks_after")))
    cost: dict[str, int] = {}
    class_of: dict[str, str] = {}
    for class_, groups in data["words"].items():
        for value, joined in groups.items():
            listed = joined.split(" ")
            cost.update(dict.fromkeys(listed, int(value)))
            class_of.update(dict.fromkeys(listed, class_))
    names = {key: data[key] for key in ("surnames", "alone", "first", "second", "pairs", "foreign")}
    latin = {key: frozenset(listed) for key, listed in data["latin"].items()}
    return EntityModel(
        cost=cost,
        class_of=class_of,
        minority=tuple(data["minority"]),
        latin=latin,
        contexts=contexts,
        words={name: frozenset(listed.split()) for name, listed in lists.items()},
        **names,
    )


def _weights(lists: dict[str, str]) -> dict[str, int]:
    """The weight of each word; the greatest where it stands in two lists."""
    by_weight = sorted((int(weight), listed.split()) for weight, listed in lists.items())
    return {word: weight for weight, listed in by_weight for word in listed}

"""The facts about labels as data (configs/labels.yaml)."""

import re
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import configs
from compliance.taxonomy import invalid, read_yaml

PATH = Path(configs.__file__).parent / "labels.yaml"


class Fact(BaseModel):
    """Base of what the file holds: frozen, and a misspelt key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Sourced(Fact):
    """A group of facts, where they come from and how sure they are."""

    source: str
    confidence: str


class ExplicitText(Sourced):
    """What a visible text must and must not hold."""

    elements: tuple[tuple[str, ...], ...] = Field(min_length=1)
    denials: tuple[str, ...]
    max_characters: int = Field(ge=1)


class Meaning(Fact):
    """What a value stands for."""

    zh: str
    en: str


class Implicit(Sourced):
    """The AIGC object: permitted characters, and what each value of `Label` means."""

    characters: str
    values: dict[str, Meaning]
    xmp_namespace: str

    @cached_property
    def permitted(self) -> re.Pattern[str]:
        """Matches a whole value of permitted characters, the empty one included."""
        return re.compile(f"(?:{self.characters})*")


class CodePart(Fact):
    """One part of a provider code."""

    name: str
    zh: str
    en: str
    length: int = Field(ge=1)
    pattern: str
    hint_zh: str
    hint_en: str


class ProviderCodeRule(Sourced):
    """The parts of a provider code in order, and how it ends where the provider assigns nothing."""

    parts: tuple[CodePart, ...]
    without_extension: str


class LabelRules(Fact):
    """Everything that the labels' code takes as given."""

    explicit_text: ExplicitText
    implicit: Implicit
    provider_code: ProviderCodeRule


def load_label_rules(path: Path = PATH) -> LabelRules:
    """Read the facts; a bad file is rejected whole with a RulesError."""
    try:
        return LabelRules.model_validate(read_yaml(path))
    except ValidationError as error:
        raise invalid(path, error) from None

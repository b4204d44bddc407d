"""What a policy file may hold. Every field is optional: what a file does not say, the one it extends says."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

from compliance.sentences import Hold
from compliance.verdict import Action

SENTENCE_SCANNERS = ("classifier", "entities")
"""Scanners that judge whole sentences, so that a policy may choose what is held meanwhile."""

GUARD = "guard"
"""All guard models together; what a policy says of a single one stands under `guards`."""

SCANNERS = ("keywords", "personal_info", "injection", *SENTENCE_SCANNERS, GUARD)

_STRICT = ConfigDict(extra="forbid")
Text = Annotated[str, Field(min_length=1)]


class Cells(TypedDict, total=False):
    """An action for each severity."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    high: Action
    medium: Action
    low: Action


class Sides(TypedDict, total=False):
    """What is done in prompts and what in outputs."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    prompt: Cells
    output: Cells


class ScannerSides(Sides, total=False):
    """The same for one scanner; `enabled: false` switches it off, `hold` is for those that judge sentences."""

    enabled: bool
    hold: Hold


GuardAction = Literal["allow", "flag", "block"]


class GuardCells(TypedDict, total=False):
    """An action for each severity that a guard model may give a text."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    high: GuardAction
    medium: GuardAction
    low: GuardAction


class GuardSides(TypedDict, total=False):
    """What a policy says of one guard model; what it does not say, the guard's settings say."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    enabled: bool
    mode: Hold
    on_failure: Literal["refuse", "flag"]
    prompt: GuardCells
    output: GuardCells


class Placeholders(TypedDict, total=False):
    """What stands in for a masked span: one text for words, one per type of personal information."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    keyword: str
    types: dict[str, str]


class Bilingual(TypedDict, total=False):
    """One text in Chinese and in English."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    zh: Text
    en: Text


class Answers(TypedDict, total=False):
    """The set answers that `replace` gives: one for each risk that has its own, and one for the rest."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    default: Bilingual
    risks: dict[str, Bilingual]


class RepeatedViolations(TypedDict, total=False):
    """When a key is suspended: so many violations in a row or in 24 hours; 0 does not count that way."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    enabled: bool
    in_a_row: Annotated[int, Field(ge=0, le=1000)]
    in_a_day: Annotated[int, Field(ge=0, le=1000)]
    suspend_hours: Annotated[float, Field(gt=0)] | None
    count: list[Literal["prompt", "output"]]


class PolicyFields(TypedDict, total=False):
    """A policy file. A type's action goes before its scanner's, that before its risk's, that before the default."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    name: str
    extends: str
    dry_run: bool
    default: Sides
    risks: dict[str, Sides]
    types: dict[str, Sides]
    scanners: dict[str, ScannerSides]
    guards: dict[str, GuardSides]
    placeholders: Placeholders
    answers: Answers
    repeated_violations: RepeatedViolations


def policy_fields() -> TypeAdapter[PolicyFields]:
    """The checker of policy files; made on use, since making it takes milliseconds."""
    return TypeAdapter(PolicyFields)

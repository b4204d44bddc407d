"""The policy: which action a finding gets, by direction, risk, severity and, for exceptions, type."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from compliance.taxonomy import Taxonomy, invalid, read_yaml
from compliance.verdict import Action, Direction, RulesError, Severity


class BySeverity(BaseModel):
    """An action for each severity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    high: Action
    medium: Action
    low: Action


class ByDirection(BaseModel):
    """What is done in prompts and what in outputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: BySeverity
    output: BySeverity


class Placeholders(BaseModel):
    """What stands in for a masked span: one text for words, one per type of personal information."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keyword: str
    types: dict[str, str]


class Policy(BaseModel):
    """One policy file. A type's rule goes before its risk's rule, and that before the default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    default: ByDirection
    risks: dict[str, ByDirection] = {}
    types: dict[str, ByDirection] = {}
    placeholders: Placeholders

    def action(self, direction: Direction, risk: str, severity: Severity, type_: str) -> Action:
        rule = self.types.get(type_) or self.risks.get(risk) or self.default
        by_severity: BySeverity = getattr(rule, direction)
        action: Action = getattr(by_severity, severity)
        return action

    def placeholder(self, type_: str) -> str:
        return self.placeholders.types.get(type_, self.placeholders.keyword)


def load_policy(path: Path, taxonomy: Taxonomy, types: frozenset[str]) -> Policy:
    """Read a policy; a risk or type that nobody can find would be a dead rule, so it is an error."""
    try:
        policy = Policy.model_validate(read_yaml(path))
    except ValidationError as error:
        raise invalid(path, error) from None
    _reject_unknown(path, "risks", policy.risks, taxonomy.ids)
    _reject_unknown(path, "types", policy.types, types)
    _reject_unknown(path, "placeholders.types", policy.placeholders.types, types)
    _reject_unsafe_placeholders(path, policy)
    return policy


def _reject_unknown(path: Path, field: str, given: Iterable[str], known: frozenset[str]) -> None:
    for key in given:
        if key not in known:
            choices = ", ".join(sorted(known))
            raise RulesError(
                f"{path}: {field}.{key}: unknown; use one of {choices}",
                f"{path}：{field}.{key} 不认识，请改用其中之一：{choices}",
            )


def _reject_unsafe_placeholders(path: Path, policy: Policy) -> None:
    """A placeholder may land inside a JSON string, so it must not need escaping there."""
    named = {"keyword": policy.placeholders.keyword, **policy.placeholders.types}
    for name, text in named.items():
        if not text or any(c in '"\\' or c < " " for c in text):
            raise RulesError(
                f"{path}: placeholders.{name}: must be text without quotes, backslashes or control characters",
                f"{path}：placeholders.{name} 不能为空，也不能含引号、反斜杠或控制字符",
            )

"""The effective policy: every field's value, and the file each value comes from."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args

from compliance.sentences import Hold
from compliance.verdict import Action, Direction, Severity

Leaf = tuple[str, ...]
"""Where a value stands in a policy file, like ("risks", "privacy", "output", "high")."""


@dataclass(frozen=True, slots=True)
class RepeatedViolationRule:
    """When a key is suspended. A count of 0 is not looked at; no hours: until an operator lifts it."""

    in_a_row: int
    in_a_day: int
    suspend_hours: float | None
    count: frozenset[str]


@dataclass(frozen=True, slots=True)
class SetAnswers:
    """The answers that stand in for replaced text, as (Chinese, English)."""

    default: tuple[str, str]
    risks: Mapping[str, tuple[str, str]]

    def text(self, risk: str, *, chinese: bool) -> str:
        """The answer for a risk, in one of its two languages."""
        zh, en = self.risks.get(risk, self.default)
        return zh if chinese else en


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy with all that it inherits. `name` lists the files it is made of, the first one first."""

    name: str
    leaves: Mapping[Leaf, Any]
    sources: Mapping[Leaf, str]

    def action(self, direction: Direction, risk: str, severity: Severity, type_: str, scanner: str = "") -> Action:
        """What is done about a finding: the type's action, else its scanner's, its risk's, the default."""
        for rule in (("types", type_), ("scanners", scanner), ("risks", risk)):
            found = self.leaves.get((*rule, direction, severity))
            if found is not None:
                return cast("Action", found)
        return cast("Action", self.leaves["default", direction, severity])

    def placeholder(self, type_: str) -> str:
        """What stands in for a masked span of this type."""
        keyword = self.leaves["placeholders", "keyword"]
        return cast("str", self.leaves.get(("placeholders", "types", type_), keyword))

    def enabled(self, scanner: str) -> bool:
        """Whether a scanner is to look at all."""
        return cast("bool", self.leaves.get(("scanners", scanner, "enabled"), True))

    def hold(self, scanner: str) -> Hold:
        """Whether a sentence waits for its judgement (`strict`) or goes out meanwhile (`cutoff`)."""
        return cast("Hold", self.leaves.get(("scanners", scanner, "hold"), "strict"))

    def guard(self, name: str) -> dict[Leaf, Any]:
        """What the policy says of one guard model, by field: ("mode",), ("output", "high")."""
        return {leaf[2:]: value for leaf, value in self.leaves.items() if leaf[:2] == ("guards", name)}

    @property
    def dry_run(self) -> bool:
        """Whether findings are only recorded."""
        return cast("bool", self.leaves.get(("dry_run",), False))

    @property
    def answers(self) -> SetAnswers | None:
        """The set answers, where there are any."""
        risks = {leaf[2] for leaf in self.leaves if leaf[:2] == ("answers", "risks")}
        default = self._bilingual("answers", "default")
        return (
            SetAnswers(default, {one: self._bilingual("answers", "risks", one) for one in risks})
            if any(default)
            else None
        )

    def _bilingual(self, *where: str) -> tuple[str, str]:
        return self.leaves.get((*where, "zh"), ""), self.leaves.get((*where, "en"), "")

    @property
    def repeated_violations(self) -> RepeatedViolationRule:
        """When a key is suspended; a dry run suspends nobody, so it counts nothing."""

        def said(name: str, otherwise: Any) -> Any:
            return self.leaves.get(("repeated_violations", name), otherwise)

        on = said("enabled", True) and not self.dry_run
        return RepeatedViolationRule(
            in_a_row=said("in_a_row", 0) if on else 0,
            in_a_day=said("in_a_day", 0) if on else 0,
            suspend_hours=said("suspend_hours", None),
            count=frozenset(said("count", ["prompt"])) if on else frozenset(),
        )

    def uses(self, action: Action) -> bool:
        """Whether any rule asks for this action."""
        return any(value is action for value in self.leaves.values())

    def digest(self) -> str:
        """A digest of what the policy says."""
        return _digest(self.leaves)

    def scanning_digest(self, direction: Direction) -> str:
        """A digest of what the scanners of one direction are compiled from."""
        others = [one for one in get_args(Direction) if one != direction]
        return _digest(
            {leaf: value for leaf, value in self.leaves.items() if leaf[0] in _COMPILED and leaf[-2] not in others}
        )


def _digest(leaves: Mapping[Leaf, Any]) -> str:
    return hashlib.sha256(json.dumps(sorted(leaves.items()), ensure_ascii=False).encode()).hexdigest()


_COMPILED = ("default", "risks", "types", "scanners", "placeholders")

DEFAULT_LEAVES = tuple(
    ("default", direction, severity) for direction in get_args(Direction) for severity in reversed(get_args(Severity))
)
"""What a policy that extends nothing must say."""

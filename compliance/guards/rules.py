"""What holds for one guard model in one request: its settings, and over them what the request's policy says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from compliance.policies.policy import Policy
from compliance.policies.schema import GUARD
from compliance.verdict import Action, Direction, Finding, Severity
from configs.schema import GuardSettings


@dataclass(frozen=True, slots=True)
class GuardRules:
    """Whether a guard is asked at all, whether text waits for it, and what follows from what it says."""

    enabled: bool
    mode: Literal["strict", "cutoff"]
    on_failure: Literal["refuse", "flag"]
    actions: Mapping[tuple[Direction, Severity], Action]

    def applied(self, findings: tuple[Finding, ...], direction: Direction) -> tuple[Finding, ...]:
        """The findings with the actions that hold here; an allowed one is none."""
        ruled = (replace(one, action=self.actions[direction, one.severity]) for one in findings)
        return tuple(one for one in ruled if one.action is not Action.allow)


def guard_rules(settings: GuardSettings, policy: Policy | None = None) -> GuardRules:
    """The rules of one guard; without a policy those of its settings."""
    said: dict[tuple[str, ...], Any] = policy.guard(settings.name) if policy else {}
    everyone = policy is None or policy.enabled(GUARD)
    return GuardRules(
        enabled=everyone and said.get(("enabled",), True),
        mode=said.get(("mode",), settings.mode),
        on_failure=said.get(("on_failure",), settings.on_failure),
        actions={
            (direction, severity): Action(said.get((direction, severity), getattr(settings.actions, severity)))
            for direction in get_args(Direction)
            for severity in get_args(Severity)
        },
    )

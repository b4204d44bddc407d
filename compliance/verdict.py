"""What the pipeline says about a text: actions, findings, verdicts, and the errors it may raise.

ComplianceError
+-- RulesError       a lexicon, allow-list, policy or taxonomy file cannot be used
+-- ScannerError     a scanner raised or ran past its deadline: the caller refuses
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from configs.bilingual import BilingualError

Direction = Literal["prompt", "output"]
Surface = Literal["text", "json"]
Severity = Literal["low", "medium", "high"]


class Action(StrEnum):
    """What a policy wants done with a finding, ordered from lenient to strict."""

    allow = "allow"
    flag = "flag"
    pseudonymise = "pseudonymise"  # in prompts: the model sees [姓名1], the caller gets the name back; else a mask
    mask = "mask"
    substitute = "replace"  # stop, and give the policy's set answer instead
    block = "block"
    suspend = "suspend"  # block, and suspend the caller

    @property
    def rank(self) -> int:
        return _RANKS[self.value]

    @property
    def hides(self) -> bool:
        """Whether the finding is taken out of the text and the rest goes on."""
        return self in (Action.pseudonymise, Action.mask)

    @property
    def stops(self) -> bool:
        """Whether nothing from the finding on may be shown."""
        return _RANKS[self.value] >= _RANKS["replace"]


_RANKS = {"allow": 0, "flag": 1, "pseudonymise": 2, "mask": 3, "replace": 4, "block": 5, "suspend": 6}


@dataclass(frozen=True, slots=True)
class Finding:
    """One span that a scanner found; offsets are code points of the raw text, `why` never quotes it.

    `folding` names the disguises that were looked through, joined by commas; empty where it stood plainly.
    """

    start: int
    end: int
    type: str
    risk: str
    severity: Severity
    scanner: str
    rule: str
    why: str
    action: Action
    folding: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of a whole text: the strictest action, all findings, and what may be shown.

    `version` names the rules that judged.
    """

    action: Action
    findings: tuple[Finding, ...]
    released: str
    version: str


def strictest(findings: tuple[Finding, ...] | list[Finding]) -> Action:
    """The strictest action among findings; `allow` when there are none."""
    return max((f.action for f in findings), key=lambda action: action.rank, default=Action.allow)


class ComplianceError(Exception):
    """Root of everything this package raises on purpose."""


class RulesError(BilingualError, ComplianceError):
    """A rule file cannot be used; it is rejected whole. `en` and `zh` say where and how to mend it."""

    between = " / "


class ScannerError(ComplianceError):
    """A scanner raised or ran past its deadline. Carries the scanner's name and no user text."""

    def __init__(self, scanner: str, reason: str) -> None:
        super().__init__(f"scanner {scanner} {reason}")
        self.scanner = scanner
        self.reason = reason

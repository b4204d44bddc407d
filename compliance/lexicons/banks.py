"""How far term lists meet the bank rules of configs/banks.yaml, per risk and overall."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from compliance.lexicon import Term
from compliance.taxonomy import Risk, invalid, read_yaml
from compliance.verdict import Severity


class Status(StrEnum):
    """How a count stands to its rule. `no_rule`: nothing is asked."""

    met = "met"
    not_met = "not met"
    missing = "missing"
    no_rule = "no rule"


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    confidence: str


class CountRule(_Rule):
    """So many terms at least."""

    at_least: int


class AgeRule(_Rule):
    """The newest line may be so many days old."""

    within_days: int


class ClauseRule(CountRule):
    """So many terms at least for each risk of a clause."""

    clause: str


class KeywordLibraryRule(BaseModel):
    """What is asked of a keyword library; `from_authority` names the risks whose lists only the operator can bring."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    total: CountRule
    refreshed: AgeRule
    each_risk: tuple[ClauseRule, ...]
    from_authority: frozenset[str]


class Banks(BaseModel):
    """The rules about banks of keywords."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keyword_library: KeywordLibraryRule


def load_banks(path: Path) -> Banks:
    """Read the rules; a bad file is a `RulesError`."""
    try:
        return Banks.model_validate(read_yaml(path))
    except ValidationError as error:
        raise invalid(path, error) from None


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """The terms of one risk. `at_least` is None where no rule asks for any."""

    risk: Risk
    count: int
    by_severity: dict[Severity, int]
    at_least: int | None
    status: Status
    from_authority: bool


@dataclass(frozen=True, slots=True)
class Coverage:
    """The terms of all lists, each counted once per risk; `newest` is the last date of any line."""

    risks: tuple[RiskCoverage, ...]
    total: int
    total_status: Status
    newest: date | None
    age_days: int | None
    age_status: Status
    unreviewed: int

    @property
    def met(self) -> bool:
        """Whether nothing that is asked is short."""
        asked = [self.total_status, self.age_status, *(one.status for one in self.risks)]
        return all(status in (Status.met, Status.no_rule) for status in asked)


def coverage(terms: Iterable[Term], risks: Sequence[Risk], rule: KeywordLibraryRule, today: date) -> Coverage:
    """Count the terms of some lists against the rules."""
    distinct = {(term.folded, term.risk): term for term in terms}
    total = len({folded for folded, _ in distinct})
    dates = [day for term in distinct.values() for day in (term.added, term.reviewed) if day is not None]
    newest = max(dates, default=None)
    age = None if newest is None else (today - newest).days
    return Coverage(
        risks=tuple(_of_risk(risk, list(distinct.values()), rule) for risk in risks),
        total=total,
        total_status=_status(total, rule.total.at_least),
        newest=newest,
        age_days=age,
        age_status=_age_status(age, rule.refreshed.within_days),
        unreviewed=sum(1 for term in distinct.values() if term.reviewed is None),
    )


def _of_risk(risk: Risk, terms: Sequence[Term], rule: KeywordLibraryRule) -> RiskCoverage:
    counts: Counter[Severity] = Counter(term.severity for term in terms if term.risk == risk.id)
    count = counts.total()
    at_least = next((one.at_least for one in rule.each_risk if risk.clause.split()[0] == one.clause), None)
    return RiskCoverage(risk, count, dict(counts), at_least, _status(count, at_least), risk.id in rule.from_authority)


def _status(count: int, at_least: int | None) -> Status:
    if at_least is None:
        return Status.no_rule
    if not count:
        return Status.missing
    return Status.met if count >= at_least else Status.not_met


def _age_status(age_days: int | None, within_days: int) -> Status:
    if age_days is None:
        return Status.missing
    return Status.met if 0 <= age_days <= within_days else Status.not_met

"""The only place where a pipeline is put together."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

import compliance
import configs
from compliance.classifier.artefact import SHIPPED
from compliance.classifier.judge import TYPE as SENTENCE
from compliance.classifier.judge import RiskJudge
from compliance.classifier.model import RiskClassifier
from compliance.collection import collection_paused
from compliance.entities import ENTITY_TYPES
from compliance.entities.finder import EntityFinder
from compliance.entities.judge import EntityJudge, entity_meanings
from compliance.entities.model import load_model
from compliance.injection.rules import INJECTION_TYPES, InjectionRules, Rule, load_injection_rules
from compliance.injection.scanner import InjectionScanner
from compliance.keywords.library import TermLibrary
from compliance.keywords.scanner import KeywordScanner
from compliance.lexicon import Term, load_lexicon
from compliance.matches import Meaning, Scanner
from compliance.pii import PII_TYPES
from compliance.pii.catalog import DETECTORS
from compliance.pii.detector import Detector
from compliance.pii.scanner import PiiScanner
from compliance.pipeline import Pipeline
from compliance.policies.files import Known
from compliance.policies.policy import Policy
from compliance.policies.shelf import Shelf
from compliance.rulebook import RuleBook
from compliance.sentences import SentenceScanner
from compliance.taxonomy import load_taxonomy
from compliance.verdict import Action, Direction, RulesError, Severity
from configs.loader import DEFAULT_PATH, load_settings
from configs.schema import ComplianceSettings

__all__ = ["ComplianceSettings", "RulesError", "build_pipeline", "build_rules", "rule_files", "shipped_settings"]

_CONFIGS = Path(configs.__file__).parent
_TAXONOMY = _CONFIGS / "taxonomy.yaml"

RULES_VERSION = "2"
"""Raised when code changes what is found, so that an audit row names rules that can be looked up."""


def shipped_settings() -> ComplianceSettings:
    """The shipped rules by absolute path, for whoever has no settings file at hand."""
    return load_settings(DEFAULT_PATH).compliance


def build_pipeline(settings: ComplianceSettings) -> Pipeline:
    """The pipeline of the default policy; any bad file is a `RulesError` and nothing is built."""
    return build_rules(settings).rules().pipeline


@collection_paused()
def build_rules(settings: ComplianceSettings, guards: frozenset[str] | None = None) -> RuleBook:
    """Read the rule files; pipelines are compiled as policies are asked for. A bad file is a `RulesError`.

    `guards` are the names of guard models that a policy may speak of; without them any name passes.
    """
    taxonomy = load_taxonomy(_TAXONOMY)
    lexicon = load_lexicon(settings.lexicons, settings.allow_lists, taxonomy.ids)
    injection = load_injection_rules(injection_file(settings), taxonomy.ids)
    finder = EntityFinder(load_model())
    parts = Parts(TermLibrary(lexicon), KeywordMeanings(), finder, injection, shipped_classifier())
    return RuleBook(policy_shelf(settings, guards), parts.scanners, _version(settings), settings.deadline_seconds)


@cache
def shipped_classifier() -> RiskClassifier:
    """The classifier, which a process loads once: it changes with a release."""
    return RiskClassifier.load(SHIPPED)


def policy_shelf(settings: ComplianceSettings, guards: frozenset[str] | None = None) -> Shelf:
    """The policies that can be named; the shipped ones where no folder has the name."""
    return Shelf((*settings.policy_folders, _CONFIGS / "policies"), settings.policy, known_to_policies(guards))


def known_to_policies(guards: frozenset[str] | None = None) -> Known:
    """The risks of the taxonomy, the types that scanners report, and the guard models as far as they are known."""
    types = {"keyword", SENTENCE, *PII_TYPES, *ENTITY_TYPES, *INJECTION_TYPES}
    return Known(load_taxonomy(_TAXONOMY).ids, frozenset(types), guards)


def rule_files(settings: ComplianceSettings) -> tuple[Path, ...]:
    """Every file besides the policies that decides a verdict: what a version stands for, and what is watched."""
    return (_TAXONOMY, *settings.lexicons, *settings.allow_lists, injection_file(settings))


def injection_file(settings: ComplianceSettings) -> Path:
    """The attack patterns in use: the operator's or the shipped ones."""
    return settings.injection or _CONFIGS / "injection.yaml"


@dataclass(frozen=True, slots=True)
class Parts:
    """What is read once and shared by the scanners of every policy."""

    library: TermLibrary
    meanings: "KeywordMeanings"
    finder: EntityFinder
    injection: InjectionRules
    classifier: RiskClassifier

    def scanners(self, policy: Policy, direction: Direction) -> list[Scanner]:
        """The scanners of one direction that the policy has not switched off."""
        scanners: list[Scanner] = []
        if policy.enabled(KeywordScanner.name):
            scanners.append(self.meanings.scanner(self.library, policy, direction))
        if policy.enabled(PiiScanner.name):
            scanners.append(_personal_info(policy, direction))
        if policy.enabled(InjectionScanner.name):
            scanners.append(_injection(self.injection, policy, direction))
        if policy.enabled(EntityJudge.name):
            scanners += _entities(self.finder, policy, direction)
        if policy.enabled(RiskJudge.name):
            scanners += _classifier(self.classifier, policy, direction)
        return scanners


class KeywordMeanings:
    """What terms mean; policies and directions that do the same about a term share one object."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Meaning] = {}

    def scanner(self, library: TermLibrary, policy: Policy, direction: Direction) -> KeywordScanner:
        """The scanner of the terms that the policy does not allow."""

        def action(risk: str, severity: Severity) -> Action:
            return policy.action(direction, risk, severity, "keyword", KeywordScanner.name)

        placeholder = policy.placeholder("keyword")
        with collection_paused():
            return library.scanner(
                lambda risk, severity: action(risk, severity) is not Action.allow,
                lambda term: self._meaning(term, action(term.risk, term.severity), placeholder),
            )

    def _meaning(self, term: Term, action: Action, placeholder: str) -> Meaning:
        key = (term.rule, term.risk, term.severity, action, placeholder)
        if key not in self._known:
            self._known[key] = Meaning(
                scanner=KeywordScanner.name,
                type="keyword",
                risk=term.risk,
                severity=term.severity,
                rule=term.rule,
                why=f"a {term.severity}-severity term for the risk {term.risk} listed at {term.rule}",
                action=action,
                placeholder=placeholder,
                strength=0,
            )
        return self._known[key]


def _personal_info(policy: Policy, direction: Direction) -> PiiScanner:
    """Detectors whose every severity is allowed are left out, so they hold nothing back."""
    meanings = {
        (one, severity): _pii_meaning(one, severity, policy, direction)
        for one in DETECTORS
        for severity in get_args(Severity)
    }
    wanted = [one for one in DETECTORS if any(meanings[one, severity] for severity in get_args(Severity))]
    return PiiScanner(wanted, lambda detector, severity: meanings[detector, severity])


def _pii_meaning(detector: Detector, severity: Severity, policy: Policy, direction: Direction) -> Meaning | None:
    action = policy.action(direction, "personal_info", severity, detector.type, PiiScanner.name)
    if action is Action.allow:
        return None
    return Meaning(
        scanner=PiiScanner.name,
        type=detector.type,
        risk="personal_info",
        severity=severity,
        rule=detector.rule,
        why=detector.why,
        action=action,
        placeholder=policy.placeholder(detector.type),
        strength=detector.strength,
    )


def _injection(rules: InjectionRules, policy: Policy, direction: Direction) -> InjectionScanner:
    def meaning(rule: Rule, severity: Severity) -> Meaning | None:
        action = policy.action(direction, rule.risk, severity, rule.type, InjectionScanner.name)
        if action is Action.allow:
            return None
        return Meaning(
            scanner=InjectionScanner.name,
            type=rule.type,
            risk=rule.risk,
            severity=severity,
            rule=f"injection.{rule.id}",
            why=f"{rule.en} / {rule.zh}",
            action=action,
            placeholder=policy.placeholder(rule.type),
            strength=0,
        )

    return InjectionScanner(rules, meaning)


def _entities(finder: EntityFinder, policy: Policy, direction: Direction) -> list[Scanner]:
    """Masks need the sentence to be held; what is only flagged holds nothing back."""

    def action(type_: str, severity: Severity) -> Action:
        return policy.action(direction, "personal_info", severity, type_, EntityJudge.name)

    meanings = entity_meanings(action, policy.placeholder)
    actions = {meaning.action for meaning in meanings.values()}
    if not actions:
        return []
    if actions == {Action.flag}:
        return [SentenceScanner(EntityJudge(finder, meanings), "cutoff")]
    hold = "strict" if any(action.hides for action in actions) else policy.hold(EntityJudge.name)
    return [SentenceScanner(EntityJudge(finder, meanings), hold)]


def _classifier(classifier: RiskClassifier, policy: Policy, direction: Direction) -> list[Scanner]:
    """A statistical judgement is of medium severity: whoever wants it to block says so in a policy."""
    meanings: dict[str, Meaning] = {}
    for risk in classifier.risks:
        action = policy.action(direction, risk, "medium", SENTENCE, RiskJudge.name)
        if action is not Action.allow:
            meanings[risk] = Meaning(
                scanner=RiskJudge.name,
                type=SENTENCE,
                risk=risk,
                severity="medium",
                rule=f"classifier.{risk}",
                why=f"a sentence that the classifier {classifier.digest[:12]} takes for {risk}",
                action=action,
                placeholder=policy.placeholder(SENTENCE),
                strength=0,
            )
    if not meanings:
        return []
    actions = {meaning.action for meaning in meanings.values()}
    hold = "strict" if any(action.hides for action in actions) else policy.hold(RiskJudge.name)
    return [SentenceScanner(RiskJudge(classifier, meanings), "cutoff" if actions == {Action.flag} else hold)]


def _version(settings: ComplianceSettings) -> str:
    """A digest of everything besides the policies that decides a verdict."""
    digest = hashlib.sha256(RULES_VERSION.encode() + _loaded_once())
    for path in rule_files(settings):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@cache
def _loaded_once() -> bytes:
    """A digest of the shipped tables that a process reads once and keeps: they change with a release."""
    digest = hashlib.sha256()
    package = Path(compliance.__file__).parent
    learnt = (
        SHIPPED,
        *sorted((package / "entities" / "artefacts").iterdir()),
        package / "entities" / "vocabulary.toml",
    )
    for path in (*sorted((_CONFIGS / "foldings").glob("*.tsv")), *learnt):
        digest.update(path.read_bytes())
    return digest.digest()

"""The only place where a pipeline is put together."""

import hashlib
from pathlib import Path
from typing import get_args

import configs
from compliance.keywords import KeywordScanner
from compliance.lexicon import Lexicon, Term, load_lexicon
from compliance.matches import Meaning, Scanner
from compliance.pii import PII_TYPES
from compliance.pii.catalog import DETECTORS
from compliance.pii.detector import Detector
from compliance.pii.scanner import PiiScanner
from compliance.pipeline import Pipeline
from compliance.policy import Policy, load_policy
from compliance.taxonomy import load_taxonomy
from compliance.verdict import Action, Direction, RulesError, Severity
from configs.loader import DEFAULT_PATH, load_settings
from configs.schema import ComplianceSettings

__all__ = ["ComplianceSettings", "RulesError", "build_pipeline", "shipped_settings"]

_CONFIGS = Path(configs.__file__).parent
_TAXONOMY = _CONFIGS / "taxonomy.yaml"

RULES_VERSION = "1"
"""Raised when code changes what is found, so that an audit row names rules that can be looked up."""


def shipped_settings() -> ComplianceSettings:
    """The shipped rules by absolute path, for whoever has no settings file at hand."""
    return load_settings(DEFAULT_PATH).compliance


def build_pipeline(settings: ComplianceSettings) -> Pipeline:
    """Read the rule files and compile them; any bad file is a `RulesError` and nothing is built."""
    taxonomy = load_taxonomy(_TAXONOMY)
    policy = load_policy(settings.policy, taxonomy, frozenset({"keyword", *PII_TYPES}))
    lexicon = load_lexicon(settings.lexicons, settings.allow_lists, taxonomy.ids)
    scanners: dict[Direction, list[Scanner]] = {
        "prompt": [_keywords(lexicon, policy, "prompt"), _personal_info(policy, "prompt")],
        "output": [_keywords(lexicon, policy, "output"), _personal_info(policy, "output")],
    }
    return Pipeline(_version(settings), scanners, settings.deadline_seconds)


def _keywords(lexicon: Lexicon, policy: Policy, direction: Direction) -> KeywordScanner:
    meanings: dict[str, tuple[Meaning, ...]] = {}
    for term in lexicon.terms:
        meaning = _keyword_meaning(term, policy, direction)
        if meaning.action is not Action.allow:
            meanings[term.folded] = (*meanings.get(term.folded, ()), meaning)
    return KeywordScanner(meanings, lexicon.allowed)


def _keyword_meaning(term: Term, policy: Policy, direction: Direction) -> Meaning:
    return Meaning(
        scanner=KeywordScanner.name,
        type="keyword",
        risk=term.risk,
        severity=term.severity,
        rule=term.rule,
        why=f"a {term.severity}-severity term for the risk {term.risk} listed at {term.rule}",
        action=policy.action(direction, term.risk, term.severity, "keyword"),
        placeholder=policy.placeholders.keyword,
        strength=0,
    )


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
    action = policy.action(direction, "personal_info", severity, detector.type)
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


def _version(settings: ComplianceSettings) -> str:
    """A digest of everything that decides a verdict."""
    digest = hashlib.sha256(RULES_VERSION.encode())
    for path in (_TAXONOMY, settings.policy, *settings.lexicons, *settings.allow_lists):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]

"""What several compliance tests need: golden tables, and pipelines made from a few terms."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from compliance.gate import Gate, Release
from compliance.keywords.foldings import Folding
from compliance.keywords.scanner import KeywordScanner
from compliance.keywords.terms import CompiledTerms
from compliance.keywords.views import Wanted
from compliance.matches import Meaning, Scanner
from compliance.pii.catalog import DETECTORS
from compliance.pii.detector import Detector
from compliance.pii.scanner import PiiScanner
from compliance.pipeline import Pipeline
from compliance.quality.measures import Span
from compliance.quality.tables import Personal
from compliance.unicode import fold
from compliance.verdict import Action, Severity

CASES = Path(__file__).parent.parent / "cases"


def read_cases(name: str) -> list[dict[str, Any]]:
    """The rows of tests/cases/NAME.jsonl."""
    lines = (CASES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def keyword_scanner(
    terms: dict[str, str], allowed: Iterable[str] = (), foldings: Folding = Folding.none
) -> KeywordScanner:
    """A keyword scanner from {term: action} and allowed words; all terms in the same disguises."""
    meanings = [
        (Meaning("keywords", "keyword", "other_illegal", "high", term, "a term", Action(action), "***", 0),)
        for term, action in terms.items()
    ]
    compiled = CompiledTerms([Wanted(fold(term), foldings) for term in terms], [fold(word) for word in allowed])
    return KeywordScanner(compiled, meanings)


def pii_scanner(by_type: dict[str, str]) -> PiiScanner:
    """The shipped detectors with an action for each type; `mask` where none is given."""

    def meaning(detector: Detector, severity: Severity) -> Meaning:
        action = Action(by_type.get(detector.type, "mask"))
        placeholder = f"[{detector.type}]"
        return Meaning(
            *("personal_info", detector.type, "personal_info", severity, detector.rule, detector.why, action),
            placeholder,
            detector.strength,
        )

    return PiiScanner(DETECTORS, meaning)


def of_scanners(*scanners: Scanner, deadline_s: float = 5.0) -> Pipeline:
    """A pipeline of these scanners in both directions."""
    return Pipeline("test", {"prompt": scanners, "output": scanners}, deadline_s)


def of_terms(terms: dict[str, str], allowed: Iterable[str] = ()) -> Pipeline:
    return of_scanners(keyword_scanner(terms, allowed))


def stream(gate: Gate, chunks: Iterable[str]) -> list[Release]:
    """All releases of a gate, the flush last."""
    return [*(gate.feed(chunk) for chunk in chunks), gate.flush()]


def text_of(releases: Iterable[Release]) -> str:
    return "".join(release.text for release in releases)


def expected_spans(row: Mapping[str, Any]) -> list[Span]:
    """The expected spans: each found value is looked up in the text after the one before it."""
    return Personal.model_validate(row).spans

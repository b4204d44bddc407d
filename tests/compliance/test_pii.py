"""The detectors against the golden table, prefix by prefix, and inside Presidio's own engine."""

import importlib
import warnings

import pytest

from compliance.pii import PII_TYPES
from compliance.pii.catalog import DETECTORS
from compliance.pii.detector import CONTEXT, Detector
from compliance.pii.prefilter import compile_prefilter
from compliance.pipeline import Pipeline
from compliance.unicode import fold
from tests.compliance.helpers import expected_spans, read_cases

TABLES = ("pii", "pii_independent")


@pytest.mark.parametrize("table", TABLES)
def test_every_row_gives_exactly_its_spans(pipeline: Pipeline, table: str) -> None:
    wrong = []
    for row in read_cases(table):
        verdict = pipeline.scan(row["text"], "output")
        got = [(f.start, f.end, f.type) for f in verdict.findings if f.scanner == "personal_info"]
        if got != expected_spans(row):
            wrong.append((row["id"], row.get("note"), row["text"], got))
    assert not wrong


def test_the_table_covers_every_type_with_values_and_with_near_misses() -> None:
    rows = read_cases("pii")
    found = {kind for row in rows for kind, _ in row["found"]}
    assert found == set(PII_TYPES)
    assert sum(not row["found"] for row in rows) > 120


def test_no_finding_quotes_what_it_found(pipeline: Pipeline) -> None:
    for row in read_cases("pii"):
        for finding in pipeline.scan(row["text"], "output").findings:
            assert row["text"][finding.start : finding.end] not in finding.why


def test_a_value_is_waited_for_from_its_first_character_on() -> None:
    """The cheap tests may never be stricter than the patterns behind them, at any cut."""
    for row in (row for table in TABLES for row in read_cases(table)):
        for start, end, kind in expected_spans(row):
            value, before = row["text"][start:end], row["text"][:start]
            text = fold(row["text"])
            start = len(fold(before))
            whole = [one for one in DETECTORS if one.type == kind and one.may_start(text, start)]
            finders = [one for one in whole if one.find_at(text, start)]
            assert finders, row
            for size in range(start + 1, start + len(fold(value))):
                for one in finders:
                    assert one.may_start(text[:size], start), (row, size)
                    assert one.may_grow(text[:size], start), (row, size)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_recognizers_work_in_presidios_engine(language: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import spacy
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine

        from compliance.pii.recognizers import registry

        class BlankEngine(SpacyNlpEngine):  # type: ignore[misc]
            """Presidio's spaCy engine over blank pipelines: the recognizers need no model."""

            def __init__(self) -> None:
                super().__init__(ner_model_configuration=NerModelConfiguration(labels_to_ignore=[]))
                self.nlp = {code: spacy.blank(code) for code in ("zh", "en")}

        engine = AnalyzerEngine(registry=registry(), nlp_engine=BlankEngine(), supported_languages=["zh", "en"])
        wrong = []
        for row in read_cases("pii")[::3]:
            results = engine.analyze(row["text"], language=language)
            got = {(one.start, one.end, one.entity_type) for one in results}
            if not set(expected_spans(row)) <= got:
                wrong.append((row["text"], got))
    assert not wrong


def test_presidio_stays_unloaded_where_no_pattern_fits() -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from compliance.build import build_pipeline, shipped_settings\n"
        "pipeline = build_pipeline(shipped_settings())\n"
        "verdict = pipeline.scan('今天共 1200 元，2024-05-01 发货，联系客服。Best regards', 'output')\n"
        "assert not verdict.findings\n"
        "assert 'presidio_analyzer' not in sys.modules and 'spacy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_context_is_never_longer_than_what_is_searched() -> None:
    """`near` cuts the text before a value short, so its patterns must end at the value and fit in."""
    parser = importlib.import_module("re._parser")
    for one in DETECTORS:
        if one.near < CONTEXT:
            parsed = parser.parse(one.context)
            kind, detail = parsed.data[0]
            branches = detail[1] if str(kind) == "BRANCH" and len(parsed.data) == 1 else [parsed]
            assert all(str(branch.data[-1][1]) == "AT_END" for branch in branches), one.rule
            assert parsed.getwidth()[1] < one.near, one.rule


def test_the_prefilter_keeps_every_place_that_a_detector_may_begin_at() -> None:
    """Long texts, texts character by character, and every place by itself give the same."""
    prefilter = compile_prefilter(DETECTORS)
    rows = [fold(row["text"]) for table in (*TABLES, "ordinary") for row in read_cases(table)]
    for text in [*rows, "".join(rows)[:20_000]]:
        one_by_one = {(at, one) for at in range(len(text)) for one in DETECTORS if _begins_at(one, text, at)}
        assert set(prefilter.places(text, 0)) == one_by_one
    for text in rows:
        middle = len(text) // 2
        short = {place for at in range(middle, len(text)) for place in prefilter.places(text[: at + 1], at)}
        assert short >= {(at, one) for at, one in prefilter.places(text, 0) if at >= middle}


def _begins_at(detector: Detector, text: str, at: int) -> bool:
    return (text[at] in detector.lead or not detector.lead) and detector.may_start(text, at)

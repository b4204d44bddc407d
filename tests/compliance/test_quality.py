"""The quality report: measures on tiny tables with known answers, and figures that are not stale."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from compliance.build import shipped_settings
from compliance.pipeline import Pipeline
from compliance.quality.baselines import PlainKeywordFilter, PresidioAsItComes
from compliance.quality.cli import measure, quality
from compliance.quality.measures import Rate, Score, Span, rate, row_score, strict_scores, total, touches
from compliance.quality.report import markdown
from compliance.quality.sections import Measurer, keyword_rows
from compliance.quality.tables import Evasion, Personal, read_table
from compliance.verdict import RulesError
from tests.compliance.helpers import CASES, keyword_scanner, of_scanners, pii_scanner

ROOT = Path(__file__).parent.parent.parent


def write(folder: Path, name: str, *rows: dict[str, Any]) -> None:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def test_scores_are_precision_recall_and_their_harmonic_mean() -> None:
    score = Score(tp=6, fp=2, fn=4)
    assert (score.precision, score.recall) == (0.75, 0.6)
    assert score.f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    assert (Score().precision, Score().recall, Score().f1, Rate().value) == (None, None, None, None)
    assert Score(fn=1).f1 == 0


def test_a_strict_span_needs_start_end_and_kind() -> None:
    expected = [Span(0, 3, "a"), Span(5, 8, "a"), Span(9, 10, "b")]
    found = [Span(0, 3, "a"), Span(5, 7, "a"), Span(9, 10, "c")]
    scores = strict_scores(expected, found)
    assert scores == {"a": Score(tp=1, fp=1, fn=1), "b": Score(fn=1), "c": Score(fp=1)}
    assert total(scores.values()) == Score(tp=1, fp=2, fn=2)


def test_a_hit_shares_a_character_and_the_kind() -> None:
    wanted = Span(2, 5, "ip")
    assert touches(wanted, [Span(4, 9, "ip")])
    assert not touches(wanted, [Span(5, 9, "ip"), Span(0, 2, "ip"), Span(2, 5, "privacy")])


def test_scores_over_texts() -> None:
    assert rate([True, False, True]) == Rate(hits=2, total=3)
    assert row_score(Rate(hits=9, total=10), Rate(hits=1, total=100)) == Score(tp=9, fp=1, fn=1)


def test_the_plain_filter_folds_width_and_case_only_and_keeps_offsets() -> None:
    plain = PlainKeywordFilter([("sm", "violence_porn"), ("冰毒", "other_illegal")])
    assert plain.find("㎝ＳＭoking 冰毒") == [Span(1, 3, "violence_porn"), Span(9, 11, "other_illegal")]
    assert plain.find("冰 毒") == []


@pytest.fixture(scope="module")
def presidio() -> PresidioAsItComes:
    return PresidioAsItComes()


def test_presidios_types_are_named_like_ours(presidio: PresidioAsItComes) -> None:
    text = "mail a@example.com or 8.8.8.8"
    assert presidio.find(text, []) == [Span(5, 18, "email"), Span(22, 29, "ipv4")]


def tiny(tmp_path: Path, presidio: PresidioAsItComes, pipeline: Pipeline) -> Measurer:
    write(
        tmp_path, "evasions",
        {"technique": "space", "risk": "other_illegal", "term": "冰毒", "written": "冰 毒", "text": "卖冰 毒"},
        {"technique": "plain", "risk": "other_illegal", "term": "冰毒", "written": "冰毒", "text": "卖冰毒"},
        {"technique": "plain", "risk": "ip", "term": "盗版", "written": "盗版", "text": "卖盗版"},
    )  # fmt: skip
    write(tmp_path, "ordinary_business", {"domain": "x", "text": "冰毒"}, {"domain": "y", "text": "好"})
    write(tmp_path, "pii", {"text": "张三13800138000", "found": [["person_name", "张三"], ["mobile", "13800138000"]]})
    return Measurer(pipeline, PlainKeywordFilter([("冰毒", "other_illegal")]), presidio, tmp_path)


def test_figures_of_tiny_tables(tmp_path: Path, presidio: PresidioAsItComes) -> None:
    pipeline = of_scanners(keyword_scanner({"冰毒": "block"}), pii_scanner({}))
    figures = tiny(tmp_path, presidio, pipeline).measure()
    assert figures.evasions is not None
    assert (figures.evasions.hit, figures.evasions.plain) == (Rate(hits=1, total=3), Rate(hits=1, total=3))
    assert figures.evasions.by_technique == {
        "plain": (Rate(hits=1, total=2), Rate(hits=1, total=2)),
        "space": (Rate(total=1), Rate(total=1)),
    }
    assert figures.evasions.spans == Score(tp=1, fn=2)
    alarms = figures.ordinary["ordinary_business"]
    assert {name: one.stopped for name, one in alarms.items()} == {
        "": Rate(hits=1, total=2), "x": Rate(hits=1, total=1), "y": Rate(total=1),
    }  # fmt: skip
    assert alarms[""].stopped_by == {"keywords": 1}
    assert keyword_rows(figures) == Score(tp=1, fp=1, fn=2)
    assert figures.personal_info["pii"].ours == {"mobile": Score(tp=1), "person_name": Score(fn=1)}
    assert (figures.injection, figures.classifier) == (None, None)
    assert "no scanner `injection`" in markdown(figures, date(2026, 1, 1))


def test_flags_are_no_false_alarms(tmp_path: Path, presidio: PresidioAsItComes) -> None:
    figures = tiny(tmp_path, presidio, of_scanners(keyword_scanner({"冰毒": "flag"}))).measure()
    alarms = figures.ordinary["ordinary_business"][""]
    assert (alarms.stopped.hits, alarms.flagged.hits, alarms.flagged_by) == (0, 1, {"keywords": 1})


@pytest.mark.parametrize(
    ("row", "kind", "said"),
    [
        ({"text": "a", "found": [["mobile", "b"]]}, Personal, "t.jsonl:1: a marked value is not in the text"),
        ({"text": "a"}, Personal, "t.jsonl:1: field found is missing or wrong"),
        (
            {"text": "a", "written": "a", "term": "a", "risk": "ip", "technique": "t", "surface": "html"},
            Evasion,
            "surface: use text or json",
        ),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: dict[str, Any], kind: Any, said: str) -> None:
    write(tmp_path, "t", row)
    with pytest.raises(RulesError, match=re.escape(said)):
        read_table(tmp_path, "t", kind)


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "evasions.jsonl").write_text("{\n", encoding="utf-8")
    done = CliRunner().invoke(quality, ["report", "--tables", str(tmp_path), "--out", str(tmp_path / "out.md")])
    assert done.exit_code == 2
    assert "evasions.jsonl:1: not JSON" in done.output
    assert not (tmp_path / "out.md").exists()
    assert CliRunner().invoke(quality, ["report", "--tables", str(tmp_path / "none")]).exit_code == 2


def test_the_committed_report_says_what_the_code_does_now() -> None:
    """If this fails: look at what changed, then run `opcgate quality report`."""
    committed = (ROOT / "docs" / "compliance-quality.md").read_text(encoding="utf-8")
    now = markdown(measure(shipped_settings(), CASES), date(2026, 1, 1))

    def undated(text: str) -> list[str]:
        return re.sub(r"on \d{4}-\d\d-\d\d", "on a day", text).splitlines()

    assert undated(committed) == undated(now)

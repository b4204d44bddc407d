"""`opcgate lexicon import|check|diff`, against golden tables."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from compliance.lexicon import read_terms
from compliance.lexicons.banks import Status, coverage, load_banks
from compliance.lexicons.cli import lexicon, shipped_taxonomy
from compliance.verdict import RulesError
from configs.whole_file import replace_file
from tests.compliance.helpers import read_cases

HEADER = "term\trisk\tseverity\tadded\treviewed\n"
BANKS = """
keyword_library:
  total: {at_least: 3, source: s, confidence: S2}
  refreshed: {within_days: 7, source: s, confidence: S2}
  each_risk: [{clause: A.1, at_least: 2, source: s, confidence: S2}]
  from_authority: [subversion]
"""


def run(*arguments: object) -> Any:
    return CliRunner().invoke(lexicon, [str(argument) for argument in arguments])


@pytest.mark.parametrize("row", read_cases("lexicon_import"), ids=lambda row: row["note"])
def test_import(tmp_path: Path, row: dict[str, Any]) -> None:
    source, output = tmp_path / row["file"], tmp_path / "out.tsv"
    source.write_bytes(
        bytes.fromhex(row["bytes"]) if "bytes" in row else row["content"].encode(row.get("encoding", "utf-8"))
    )
    options = row["options"]
    if "tags" in row:
        (tmp_path / "tags.tsv").write_text(row["tags"], encoding="utf-8")
        options = [*options, "--tags", str(tmp_path / "tags.tsv")]
    done = run("import", source, "-o", output, "--json", *options)
    if "error" in row:
        assert (done.exit_code, done.stdout) == (2, "")
        assert row["error"] in done.stderr
        assert not output.exists()
        return
    assert done.exit_code == 0, done.stderr
    terms = list(read_terms(output, shipped_taxonomy().ids))
    assert [f"{term.text}|{term.risk}|{term.severity}" for term in terms] == row["rows"]
    skipped = [f"{one['line']}: {one['reason']}" for one in json.loads(done.stdout)["skipped"]]
    assert len(skipped) == len(row["skipped"])
    for said, expected in zip(skipped, row["skipped"], strict=True):
        assert said.startswith(expected)
    assert list(tmp_path.glob(".*")) == []


def test_import_notes_the_source_and_leaves_the_review_open(tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("冰毒\n", encoding="utf-8")
    assert run("import", source, "-o", tmp_path / "o.tsv", "--risk", "ip", "--source", "a\tbook").exit_code == 0
    (term,) = read_terms(tmp_path / "o.tsv", frozenset({"ip"}))
    assert (term.source, term.reviewed) == ("a book", None)
    assert term.added is not None


def test_import_does_not_write_over_a_file_unasked(tmp_path: Path) -> None:
    source, output = tmp_path / "a.txt", tmp_path / "o.tsv"
    source.write_text("冰毒\n", encoding="utf-8")
    output.write_text("mine", encoding="utf-8")
    done = run("import", source, "-o", output, "--risk", "ip")
    assert (done.exit_code, output.read_text(encoding="utf-8")) == (2, "mine")
    assert "--force" in done.stderr
    assert run("import", source, "-o", output, "--risk", "ip", "--force").exit_code == 0
    assert output.read_text(encoding="utf-8") != "mine"


def test_import_warns_of_terms_that_hit_ordinary_sentences(tmp_path: Path) -> None:
    source, ordinary = tmp_path / "a.txt", tmp_path / "ordinary.txt"
    source.write_text("冰毒\n促销\n", encoding="utf-8")
    ordinary.write_text("今天促销\n\n促销到明天，促销！\n没有别的\n", encoding="utf-8")
    done = run("import", source, "-o", tmp_path / "o.tsv", "--risk", "ip", "--against", ordinary, "--json")
    assert json.loads(done.stdout)["hits"] == [{"text": "促销", "sentences": 2}]
    told = run("import", source, "-o", tmp_path / "p.tsv", "--risk", "ip", "--against", ordinary)
    assert "'促销' hits 2 ordinary sentences" in told.stderr


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        replace_file(tmp_path / "o.tsv", "\ud800")
    assert list(tmp_path.iterdir()) == []


def test_import_into_a_missing_folder_says_so(tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("冰毒\n", encoding="utf-8")
    done = run("import", source, "-o", tmp_path / "none" / "o.tsv", "--risk", "ip")
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def _coverage(tmp_path: Path, lines: list[str], today: date) -> Any:
    (tmp_path / "banks.yaml").write_text(BANKS, encoding="utf-8")
    path = tmp_path / "list.tsv"
    path.write_text(HEADER + "\n".join(lines), encoding="utf-8")
    taxonomy = shipped_taxonomy()
    rule = load_banks(tmp_path / "banks.yaml").keyword_library
    return coverage(read_terms(path, taxonomy.ids), taxonomy.risks, rule, today)


def test_coverage_counts_each_term_once_per_risk(tmp_path: Path) -> None:
    lines = [
        "冰毒\tother_illegal\thigh\t2026-11-01\t2026-11-20",
        "大麻\tother_illegal\tlow\t2026-11-01\t",
        "冰毒\tip\thigh\t\t",
        "裸聊\tviolence_porn\thigh\t\t",
    ]
    made = _coverage(tmp_path, lines, date(2026, 11, 24))
    by_risk = {one.risk.id: one for one in made.risks}
    assert (made.total, made.total_status, made.unreviewed) == (3, Status.met, 3)
    assert (made.newest, made.age_days, made.age_status) == (date(2026, 11, 20), 4, Status.met)
    assert (by_risk["other_illegal"].count, by_risk["other_illegal"].status) == (2, Status.met)
    assert by_risk["other_illegal"].by_severity == {"high": 1, "low": 1}
    assert (by_risk["violence_porn"].count, by_risk["violence_porn"].status) == (1, Status.not_met)
    assert (by_risk["subversion"].status, by_risk["subversion"].from_authority) == (Status.missing, True)
    assert (by_risk["ip"].count, by_risk["ip"].status) == (1, Status.no_rule)
    assert not made.met


@pytest.mark.parametrize(("day", "status"), [(27, Status.met), (28, Status.not_met), (19, Status.not_met)])
def test_a_list_ages_and_dates_in_the_future_do_not_count(tmp_path: Path, day: int, status: Status) -> None:
    made = _coverage(tmp_path, ["冰毒\tip\thigh\t2026-11-20\t"], date(2026, 11, day))
    assert made.age_status is status


def test_a_list_without_dates_is_not_refreshed(tmp_path: Path) -> None:
    made = _coverage(tmp_path, ["冰毒\tip\thigh\t\t"], date(2026, 11, 24))
    assert (made.newest, made.age_status) == (None, Status.missing)


def test_bad_bank_rules_name_the_field(tmp_path: Path) -> None:
    path = tmp_path / "banks.yaml"
    path.write_text(BANKS.replace("at_least: 3", "at_least: many"), encoding="utf-8")
    with pytest.raises(RulesError, match=r"banks\.yaml: keyword_library\.total\.at_least"):
        load_banks(path)


def test_check_of_the_shipped_list_is_honest() -> None:
    done = run("check", "--json")
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    missing = {one["risk"] for one in said["risks"] if one["status"] == "missing"}
    assert not said["met"]
    assert {"subversion", "national_security", "separatism"} <= missing
    assert said["total"]["at_least"] == 10000
    assert said["total"]["terms"] == sum(one["terms"] for one in said["files"])


def test_check_says_what_the_operator_must_import() -> None:
    done = run("check")
    assert "to be imported by the operator" in done.stdout
    assert "A.1 a subversion" in done.stdout


def test_check_of_lists_that_meet_every_number(tmp_path: Path) -> None:
    path = tmp_path / "full.tsv"
    rows = [
        f"{risk.id}词{number}\t{risk.id}\thigh\t2026-11-24\t"
        for risk in shipped_taxonomy().risks
        for number in range(600)
        if risk.clause[:3] in ("A.1", "A.2")
    ]
    path.write_text(HEADER + "\n".join(rows), encoding="utf-8")
    assert run("check", path, "--as-of", "2026-11-25").exit_code == 0
    assert run("check", path, "--as-of", "2026-12-25").exit_code == 1
    assert run("check", path, "--as-of", "yesterday").exit_code == 2


def test_check_of_a_bad_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.tsv"
    path.write_text("冰毒\tip\thigh\n冰毒\tip\thigh\n", encoding="utf-8")
    done = run("check", path)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"{path}:2: the same term for the same risk as line 1" in done.stderr


@pytest.mark.parametrize("row", read_cases("lexicon_diff"), ids=lambda row: row["note"])
def test_diff(tmp_path: Path, row: dict[str, Any]) -> None:
    old, new = tmp_path / "old.tsv", tmp_path / "new.tsv"
    old.write_text("\n".join(row["old"]), encoding="utf-8")
    new.write_text("\n".join(row["new"]), encoding="utf-8")
    done = run("diff", old, new, "--json")
    said = json.loads(done.stdout)
    assert [one["term"] for one in said["added"]] == row["added"]
    assert [one["term"] for one in said["removed"]] == row["removed"]
    assert {one["term"]: one["fields"] for one in said["changed"]} == row["changed"]
    differs = bool(row["added"] or row["removed"] or row["changed"])
    assert done.exit_code == int(differs)
    assert run("diff", old, new).exit_code == int(differs)
    assert run("diff", old, tmp_path / "none.tsv").exit_code == 2

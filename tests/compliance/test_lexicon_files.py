"""The format of term files, and the shipped lists."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from compliance.build import shipped_settings
from compliance.lexicon import list_digest, read_terms
from compliance.verdict import RulesError
from tests.compliance.helpers import read_cases

RISKS = frozenset({"other_illegal", "ip"})


@pytest.mark.parametrize("row", read_cases("lexicon_files"), ids=lambda row: row["note"])
def test_golden_rows(tmp_path: Path, row: dict[str, Any]) -> None:
    path = tmp_path / "list.tsv"
    path.write_text("\n".join(row["lines"]), encoding="utf-8")
    if "terms" in row:
        assert [term.text for term in read_terms(path, RISKS)] == row["terms"]
        return
    with pytest.raises(RulesError) as caught:
        list(read_terms(path, RISKS))
    assert caught.value.en.startswith(f"{path}:{row['line']}: ")
    assert row["en"] in caught.value.en
    assert caught.value.zh.startswith(f"{path}:{row['line']}：")
    assert row["zh"] in caught.value.zh


def test_every_column_is_read(tmp_path: Path) -> None:
    path = tmp_path / "list.tsv"
    header = "term\trisk\tseverity\tfoldings\tboundary\tcontexts\tsource\tadded\treviewed\n"
    path.write_text(
        header + "ＳＭ\tip\tlow\tleet\tnone\t~art | \tbook, p. 1\t2026-11-20\t2026-11-24\n", encoding="utf-8"
    )
    (term,) = read_terms(path, RISKS)
    assert (term.text, term.folded, term.severity, term.foldings.names()) == ("ＳＭ", "sm", "low", "leet")
    assert (term.bounded, term.contexts, term.source) == (False, ("smart",), "book, p. 1")
    assert (term.added, term.reviewed) == (date(2026, 11, 20), date(2026, 11, 24))


def test_a_digest_is_of_the_content(tmp_path: Path) -> None:
    one, other = tmp_path / "one.tsv", tmp_path / "other.tsv"
    one.write_text("毒品\tip\thigh\n", encoding="utf-8")
    other.write_text("毒品\tip\thigh\n", encoding="utf-8")
    assert list_digest(one) == list_digest(other)
    assert len(list_digest(one)) == 12
    other.write_text("毒品\tip\tlow\n", encoding="utf-8")
    assert list_digest(one) != list_digest(other)


def test_every_shipped_line_says_where_it_comes_from_and_when_it_was_reviewed() -> None:
    from compliance.lexicons.cli import shipped_taxonomy

    for path in shipped_settings().lexicons:
        for term in read_terms(path, shipped_taxonomy().ids):
            assert (term.source, term.added, term.reviewed) > ("", date.min, date.min), term.rule

"""Words that sound like a term and are none, against a golden table."""

from pathlib import Path
from typing import Any

import pytest

from compliance.build import build_pipeline, shipped_settings
from compliance.lexicon import load_lexicon
from compliance.pipeline import Pipeline
from compliance.verdict import RulesError
from tests.compliance.helpers import read_cases

HEADER = "term\trisk\tseverity\tfoldings\tcontexts\n"


def _pipeline(folder: Path, line: str, allow: list[str]) -> Pipeline:
    terms, allowed = folder / "terms.tsv", folder / "allow.tsv"
    terms.write_text(f"{HEADER}{line}\n", encoding="utf-8")
    allowed.write_text("\n".join(["word", *allow]), encoding="utf-8")
    lists = {"lexicons": (terms,), "allow_lists": (allowed,)}
    return build_pipeline(shipped_settings().model_copy(update=lists))


@pytest.mark.parametrize("row", read_cases("lexicon_sounds"), ids=lambda row: row["note"])
def test_golden_rows(tmp_path: Path, row: dict[str, Any]) -> None:
    pipeline = _pipeline(tmp_path, row["line"], row["allow"])
    text = row["text"]
    assert [text[f.start : f.end] for f in pipeline.scan(text, "output").findings] == row["found"]


@pytest.mark.parametrize("row", read_cases("lexicon_sounds"), ids=lambda row: row["note"])
def test_golden_rows_character_by_character(tmp_path: Path, row: dict[str, Any]) -> None:
    text = row["text"]
    gate = _pipeline(tmp_path, row["line"], row["allow"]).gate("output")
    releases = [*(gate.feed(char) for char in text), gate.flush()]
    found = [text[f.start : f.end] for release in releases for f in release.findings]
    assert found == row["found"][: len(found)]
    assert bool(found) == bool(row["found"])


def test_a_context_that_has_nothing_to_do_with_the_term_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "terms.tsv"
    path.write_text(f"{HEADER}枪支出售\tip\thigh\t\t房产出售\n", encoding="utf-8")
    with pytest.raises(RulesError, match=r"terms\.tsv:2: the context '房产出售' neither holds the term"):
        load_lexicon((path,), (), frozenset({"ip"}))

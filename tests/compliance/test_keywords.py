"""Keywords against the golden table, and the word lists themselves."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from compliance.build import shipped_settings
from compliance.lexicon import MAX_TERM, load_lexicon
from compliance.pipeline import Pipeline
from compliance.verdict import Action, Direction, RulesError
from tests.compliance.helpers import of_terms, read_cases, stream

RISKS = frozenset({"other_illegal", "ip"})


@pytest.mark.parametrize("row", read_cases("keywords"), ids=lambda row: row["note"])
def test_golden_rows(row: dict[str, Any]) -> None:
    made = of_terms(row["terms"], row["allow"])
    text = row["text"]
    found = [text[f.start : f.end] for f in made.scan(text, "output").findings]
    assert found == row["found"]


@pytest.mark.parametrize("row", read_cases("keywords"), ids=lambda row: row["note"])
def test_golden_rows_character_by_character(row: dict[str, Any]) -> None:
    blocks = Action.block.value in row["terms"].values()
    releases = stream(of_terms(row["terms"], row["allow"]).gate(), row["text"])
    found = [row["text"][f.start : f.end] for release in releases for f in release.findings]
    assert found == (row["found"][: len(found)] if blocks else row["found"])


def test_every_shipped_term_is_found(pipeline: Pipeline) -> None:
    settings = shipped_settings()
    for path in settings.lexicons:
        for line in path.read_text(encoding="utf-8").splitlines():
            term = line.split("\t")[0]
            if "\t" in line and term != "term":
                assert pipeline.scan(f"他说{term}。", "prompt").findings, term


def test_every_shipped_allowed_word_excuses_a_term(pipeline: Pipeline) -> None:
    for path in shipped_settings().allow_lists:
        for word in path.read_text(encoding="utf-8").splitlines():
            if word and not word.startswith("#") and word != "word":
                blocked = [f for f in pipeline.scan(f"，{word}。", "prompt").findings if f.scanner == "keywords"]
                assert not blocked, word


@pytest.mark.parametrize("table", ["ordinary", "ordinary_independent"])
def test_ordinary_text_passes_without_a_finding(pipeline: Pipeline, table: str) -> None:
    """But for organisations, which are only noted (北京市发改委), and one person who is named in full."""
    directions: tuple[Direction, ...] = ("prompt", "output")
    for row, direction in itertools.product(read_cases(table), directions):
        verdict = pipeline.scan(row["text"], direction)
        if "李子柒" not in row["text"]:
            found = [one for one in verdict.findings if one.type != "organization"]
            assert (found, verdict.released) == ([], row["text"])


def test_a_lexicon_may_have_comments_a_header_notes_and_windows_lines(tmp_path: Path) -> None:
    path = tmp_path / "list.tsv"
    path.write_bytes("\ufeff# list\r\n\r\nterm\trisk\tseverity\r\nＡ\tip\thigh\ta note\tmore\r\n".encode())
    lexicon = load_lexicon((path,), (), RISKS)
    assert [(t.folded, t.risk, t.severity, t.rule) for t in lexicon.terms] == [("a", "ip", "high", "list.tsv:4")]


@pytest.mark.parametrize(
    ("line", "mend"),
    [
        ("毒品\tother_illegal", "separated by tabs"),
        ("毒品 other_illegal high", "separated by tabs"),
        ("毒品\tunheard_of\thigh", "unknown risk 'unheard_of'"),
        ("毒品\tip\tsevere", "unknown severity 'severe'"),
        ("\u200b\tip\thigh", "nothing of this entry can be seen"),
        ("长" * (MAX_TERM + 1) + "\tip\thigh", "shorten it"),
    ],
)
def test_a_bad_lexicon_is_rejected_whole_with_its_line(tmp_path: Path, line: str, mend: str) -> None:
    path = tmp_path / "list.tsv"
    path.write_text(f"好词\tip\thigh\n{line}\n", encoding="utf-8")
    with pytest.raises(RulesError) as caught:
        load_lexicon((path,), (), RISKS)
    assert caught.value.en.startswith(f"{path}:2: ")
    assert mend in caught.value.en
    assert caught.value.zh.startswith(f"{path}:2：")


def test_an_unreadable_lexicon_says_why(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="cannot be read"):
        load_lexicon((tmp_path / "none.tsv",), (), RISKS)
    bad = tmp_path / "bad.tsv"
    bad.write_bytes("一\tip\thigh\n".encode() + b"\xff\n")
    with pytest.raises(RulesError, match=r"bad\.tsv:2: not UTF-8"):
        load_lexicon((), (bad,), RISKS)

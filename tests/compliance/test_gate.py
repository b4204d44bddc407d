"""The hold-back gate: however a text is cut, it releases the same, leaks nothing and waits for nothing in vain."""

import json
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.matches import Scanner
from compliance.pii import PII_TYPES
from compliance.pipeline import Pipeline
from compliance.verdict import Action, Surface, Verdict
from tests.compliance.helpers import keyword_scanner, of_scanners, of_terms, pii_scanner, read_cases, stream, text_of

FRAGMENTS = [
    *("11010519491231002X", "6228480402564890018", "6228 4804 0256 4890 018", "13800138000", "+86 138-0013-8000"),
    *("010-88888888转12", "(0571)8888888", "京A12345", "粤B·D12345", "护照E12345678", "通行证H1234567890", "foo@"),
    *("a.b@x.com.cn", "192.168.1.1", "8.8.8.8.8", "ip 47.1.2.3", "微信：abc_123x", "vx zhang88a", "qq：1234567"),
    *("姓名：张伟", "我叫李小明，", "请王小明先生", "浙江省杭州市西湖区文三路138号2幢301室", "地址：科技园路1号A座"),
    *("91440300708461136T", "大麻", "大麻烦", "大", "麻", "sm", "smoking", "a", "b", "ab", "abc", "bc", "xab"),
    *("\u200b", "\u00ad", "e\u0301", "㎏", "½", "ﷺ", "１３８", "Ａ", "\ud83d", "\ude00", "\ud835\udc00", "𝐀"),
    *("\\u8eab", "\\", "\\n", "\\u5927", "\\ud83d\\ude00", '\\"', '"', ":", " ", "-", ".", "1", "3", "8", "0"),
    *("62", "2024-05-01", "中", "的", "，", "。", "\n", "張", "賬號"),
]
any_char = st.characters(codec=None, exclude_categories=())
texts = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(any_char, max_size=3)), max_size=14).map("".join)
term = st.text(st.sampled_from("ab大麻sm1中"), min_size=1, max_size=4)
actions = st.sampled_from(["flag", "mask", "block"])
rules = st.dictionaries(term, actions, max_size=8)
allowed = st.lists(st.text(st.sampled_from("ab大麻小x"), min_size=2, max_size=5), max_size=4)
surfaces: st.SearchStrategy[Surface] = st.sampled_from(["text", "json"])


@st.composite
def cut(draw: st.DrawFn, whole: st.SearchStrategy[str] = texts) -> tuple[str, list[str]]:
    """A text and a way to cut it, empty chunks included."""
    text = draw(whole)
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=len(text) + 2)))
    return text, [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@settings(max_examples=700, deadline=None)
@given(cut(), rules, allowed, surfaces, st.dictionaries(st.sampled_from(PII_TYPES), actions, max_size=6))
@pytest.mark.usefixtures("personal_info")
def test_any_split_gives_what_the_whole_text_gives(
    text_and_chunks: tuple[str, list[str]],
    terms: dict[str, str],
    excuses: list[str],
    surface: Surface,
    by_type: dict[str, str],
) -> None:
    text, chunks = text_and_chunks
    fixed = {"大麻": "mask", "sm": "flag", "abc": "mask", "bc": "flag"}
    made = of_scanners(keyword_scanner({**fixed, **terms}, [*excuses, "大麻烦"]), pii_scanner(by_type))
    verdict = made.scan(text, "output", surface=surface)
    gate = made.gate(surface=surface)
    releases = stream(gate, chunks)

    assert text_of(releases) == verdict.released
    assert [f for release in releases for f in release.findings] == _until_block(verdict)
    assert any(release.blocked for release in releases) == (verdict.action is Action.block)
    masked = [span for release in releases for span in release.masked]
    assert all(end <= start for (_, end), (start, _) in pairwise(masked))
    ends = [release.end for release in releases]
    assert ends == sorted(ends)
    _no_leak(text, verdict, masked, ends[-1])
    if verdict.action is not Action.block:
        assert ends[-1] == len(text)
        assert gate.held == 0


def _until_block(verdict: Verdict) -> list[object]:
    """The findings a stream reports: it is over at the first blocked span."""
    actions = [finding.action for finding in verdict.findings]
    return list(verdict.findings[: actions.index(Action.block) + 1] if Action.block in actions else verdict.findings)


def _no_leak(text: str, verdict: Verdict, masked: list[tuple[int, int]], end: int) -> None:
    """Every masked or blocked character is inside a masked span or behind the end of the released text."""
    hidden = {at for start, stop in masked for at in range(start, stop)} | set(range(end, len(text)))
    for finding in verdict.findings:
        if finding.action in (Action.mask, Action.block):
            assert set(range(finding.start, finding.end)) <= hidden
    shown = "".join(char for at, char in enumerate(text) if at not in hidden)
    at = 0
    for char in verdict.released:  # the shown characters are in the released text, in order
        if at < len(shown) and char == shown[at]:
            at += 1
    assert at == len(shown)


@settings(max_examples=300, deadline=None)
@given(texts)
def test_held_text_is_released_by_a_character_that_ends_every_rule(pipeline: Pipeline, text: str) -> None:
    gate = pipeline.gate()
    blocked = gate.feed(text).blocked
    after = gate.feed("，。\n。龘龘")  # the marks end numbers and addresses, and the character is in no term
    assert blocked or after.blocked or gate.held <= 1


@pytest.mark.parametrize("row", read_cases("gate_hold"), ids=lambda row: row["text"])
def test_exactly_what_can_still_become_a_match_is_held(personal_info: Scanner, row: dict[str, str]) -> None:
    gate = of_scanners(keyword_scanner({"大麻": "flag"}, ["大麻烦"]), personal_info).gate()
    for char in row["text"]:
        gate.feed(char)
    assert row["text"][len(row["text"]) - gate.held :] == row["held"]


@pytest.mark.parametrize("row", read_cases("gate"), ids=lambda row: row["note"])
def test_golden_streams(row: dict[str, object]) -> None:
    made = of_terms(row["terms"], row.get("allow", ()))  # type: ignore[arg-type]
    surface = row.get("surface", "text")
    releases = stream(made.gate(surface=surface), row["chunks"])  # type: ignore[arg-type]
    assert [release.text for release in releases] == row["released"]


@pytest.mark.parametrize(
    "piece", ["a", "1", "大", "\u200b", "6228", "\ud83d", "\\", "\\u00", "浙江省", "麻", "@", "a.", "aa大麻", "地址："]
)
@pytest.mark.parametrize("surface", ["text", "json"])
def test_endless_input_without_spaces_needs_bounded_memory(pipeline: Pipeline, piece: str, surface: Surface) -> None:
    gate = pipeline.gate(surface=surface)
    gate.feed(piece * 3000)
    tracemalloc.start()
    try:
        for _ in range(40):
            gate.feed(piece * 500)
            assert gate.held < 8000
        assert tracemalloc.get_traced_memory()[0] < 400_000
    finally:
        tracemalloc.stop()


def test_after_a_block_nothing_comes_any_more() -> None:
    gate = of_terms({"停": "block"}).gate()
    first = gate.feed("好停好")
    assert (first.text, first.end, first.blocked) == ("好", 1, True)
    later = [gate.feed("好"), gate.flush()]
    assert [(one.text, one.findings, one.blocked) for one in later] == [("", (), True)] * 2


def test_a_scan_reports_what_comes_after_a_block() -> None:
    verdict = of_terms({"停": "block", "坏": "flag"}).scan("好停坏停", "output")
    assert [(f.start, f.action) for f in verdict.findings] == [(1, "block"), (2, "flag"), (3, "block")]
    assert verdict.released == "好"


@settings(max_examples=200, deadline=None)
@given(cut(st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join)), st.booleans())
def test_masked_json_strings_stay_json(
    personal_info: Scanner, text_and_chunks: tuple[str, list[str]], ascii_only: bool
) -> None:
    made = of_scanners(keyword_scanner({"大麻": "mask", "abc": "mask"}), personal_info)
    arguments = json.dumps({"content": text_and_chunks[0]}, ensure_ascii=ascii_only)
    masked = made.scan(arguments, "output", surface="json").released
    assert "大麻" not in json.loads(masked)["content"]


def test_escapes_cannot_hide_a_term() -> None:
    made = of_terms({"身份": "mask"})
    for hidden in ("\\u8eab\\u4efd", "身\\u4efd", "\\u8EAB份", "身\\u200b份"):
        assert made.scan(f'{{"a":"{hidden}"}}', "output", surface="json").released == '{"a":"***"}'
    assert made.scan('{"a":"\\\\u8eab份"}', "output", surface="json").released == '{"a":"\\\\u8eab份"}'

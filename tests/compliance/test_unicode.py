"""The Unicode stage: what folds to what, and that pieces fold as the whole does, with the same offsets."""

import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.unicode import BREAK, MAX_INVISIBLE, Folder, fold, fold_table, is_word
from compliance.verdict import Surface
from tests.compliance.helpers import read_cases

any_char = st.characters(codec=None, exclude_categories=())
odd = st.sampled_from(
    [
        *("\u200b", "e\u0301", "㎏", "½", "ﷺ", "\ud83d", "\ude00", "\ud835\udc00", "𝐀", "\\u8eab", "\\", "\\n"),
        *("\\ud83d", "\\ude00", '\\"', "\\ud8", "\\u", "賬", "Ａ", "…", "\x00", "\u3164", "ß", "İ", "\\\\"),
        "\U000e0041",
    ]
)
texts = st.lists(st.one_of(odd, st.text(any_char, max_size=3)), max_size=12).map("".join)


@pytest.mark.parametrize("row", read_cases("unicode"), ids=lambda row: row["note"])
def test_golden_folds(row: dict[str, str]) -> None:
    surface: Surface = "json" if row.get("surface") == "json" else "text"
    assert fold(row["raw"], surface) == row["folded"]


@settings(max_examples=500, deadline=None)
@given(texts, st.data(), st.sampled_from(["text", "json"]))
def test_pieces_fold_as_the_whole(text: str, data: st.DataObject, surface: Surface) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    whole = _with_spans([text], surface)
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    assert _with_spans(pieces, surface) == whole


def _with_spans(pieces: list[str], surface: Surface) -> list[tuple[str, int, int]]:
    """Each folded character with its raw span."""
    folder = Folder(surface)
    out: list[tuple[str, int, int]] = []
    for piece, final in [*((piece, False) for piece in pieces), ("", True)]:
        folded = folder.feed(piece, final)
        if folded.starts is None or folded.ends is None:
            first = folded.raw_end - len(folded.text)
            out += [(char, first + at, first + at + 1) for at, char in enumerate(folded.text)]
        else:
            out += list(zip(folded.text, folded.starts, folded.ends, strict=True))
    return out


@settings(max_examples=300, deadline=None)
@given(st.text(any_char, max_size=12))
def test_a_span_folds_to_its_characters(text: str) -> None:
    """Offsets are right: the raw span of each folded character, folded alone, holds that character."""
    for char, start, end in _with_spans([text], "text"):
        assert 0 <= start < end <= len(text)
        assert char in fold(text[start:end])


def test_every_character_folds_to_what_does_not_fold_further() -> None:
    table = fold_table()
    for code in range(sys.maxunicode + 1):
        once = table.fold(chr(code))
        assert "".join(table.fold(char) for char in once) == once, hex(code)


def test_folding_agrees_with_the_standard_library_where_nothing_else_applies() -> None:
    for code in range(0x20, 0x2E80):
        char = chr(code)
        if unicodedata.category(char) in ("Cc", "Cf", "Mn", "Me") or char == "…":
            continue
        plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", char).casefold())
        bare = "".join(c for c in plain if unicodedata.category(c) not in ("Cc", "Cf", "Mn", "Me"))
        hyphen = any(0x2010 <= ord(c) <= 0x2013 or c == "\u2212" for c in bare)
        own = 0x2474 <= code <= 0x24B5 or 0x2160 <= code <= 0x2168 or 0x2170 <= code <= 0x2178
        if not hyphen and not own and char not in "\u115f\u1160":
            assert fold(char) == unicodedata.normalize("NFC", bare), hex(code)


def test_an_endless_run_of_invisible_characters_is_cut_by_a_break() -> None:
    assert fold("a" + "\u200b" * MAX_INVISIBLE + "b") == "ab"
    assert fold("a" + "\u200b" * (MAX_INVISIBLE + 1) + "b") == f"a{BREAK}b"


def test_word_characters_are_those_of_alphabetic_scripts() -> None:
    assert all(is_word(char) for char in "az09éжω")
    assert not any(is_word(char) for char in "中あ한 _-，")

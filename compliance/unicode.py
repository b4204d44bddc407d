"""The one Unicode stage: raw text in, folded text out, with offsets back to the raw text.

Every fold looks at one character (or one escape, or one surrogate pair) at a time, never at its
neighbours, so folding a text in pieces gives exactly what folding it whole gives. Folded: NFKC, width,
case, accents and other combining marks (dropped), invisible and control characters (dropped), brackets
around a single character, traditional to simplified Chinese by OpenCC's character table, and escapes: of HTML,
of URLs (percent and UTF-8) and \\u in text, of JSON in tool-call arguments.
"""

import html
import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from compliance.chartable import LONG, CharTable
from compliance.verdict import Surface

BREAK = "\ufffd"
"""Stands for what is no character: a lone surrogate, or a run of invisible characters without end."""

MAX_INVISIBLE = 1024
"""So many dropped characters in a row are looked through; then one `BREAK` bounds what must be kept."""

_KEPT_CONTROLS = "\t\n\v\f\r\x85"
_BLANK_LETTERS = "\u115f\u1160\u3164\uffa0"  # Hangul fillers: letters that show nothing
_UNTOUCHED = "…"  # NFKC makes three dots of it, which no rule needs and every Chinese text would pay for
_HYPHENS = "\u2010\u2011\u2012\u2013\u2212"  # people write them into numbers; the dash 2014 is punctuation
_BADGES = (
    (0x1F150, 0x1F169, "a"),  # letters on a ground, which NFKC leaves alone
    (0x1F170, 0x1F189, "a"),
    (0x2160, 0x2168, "1"),  # Roman numerals of one sign are numbers, where NFKC would make letters of them
    (0x2170, 0x2178, "1"),
)
_BRACKETED = ((0x2474, 0x249B), (0x249C, 0x24B5), (0x3200, 0x3243), (0x1F100, 0x1F10A), (0x1F110, 0x1F129))
_TRIVIAL = ((0x3400, 0x9FFF), (0xAC00, 0xD7A3))  # Han and Hangul: nothing but the Chinese table applies


class Folded(NamedTuple):
    """A folded piece. `starts`/`ends` give each character's raw span; both None: one to one."""

    text: str
    starts: list[int] | None
    ends: list[int] | None
    raw_end: int


class Folder:
    """Folds one stream of text. Offsets count the code points fed since it was made; `at` is where it stands."""

    def __init__(self, surface: Surface = "text") -> None:
        self._table = fold_table()
        self._special = _special(surface)
        needs_care = self._table.odd_or_text_escape if surface == "text" else self._table.odd_or_escape
        self._needs_care = needs_care.search
        self._lookups = self._table.simple.entries
        self._tail = ""  # raw characters whose fold the next chunk may still change
        self.at = 0  # raw offset of the next character to fold, that is of `_tail`
        self._invisible = 0

    def feed(self, chunk: str, final: bool = False) -> Folded:
        """Fold a chunk; with `final` also what was waiting for more."""
        if self._tail:
            chunk = self._tail + chunk
            self._tail = ""
        plain = self.feed_plain(chunk)
        return self._feed_carefully(chunk, final) if plain is None else Folded(plain, None, None, self.at)

    def feed_plain(self, chunk: str) -> str | None:
        """Fold a chunk that folds one to one and leaves nothing open; None, and nothing done, for any other."""
        if self._tail or self._needs_care(chunk):
            return None
        if chunk:
            self.at += len(chunk)
            self._invisible = 0
        return chunk.translate(self._lookups) if len(chunk) < LONG else self._table.simple.map_one_to_one(chunk)

    def _feed_carefully(self, chunk: str, final: bool) -> Folded:
        table = self._table
        base = self.at
        text: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        done = 0
        for match in self._special.finditer(chunk):
            here, after = match.span()
            if done < here:
                text.append(table.simple.map_one_to_one(chunk[done:here]))
                starts.extend(range(base + done, base + here))
                ends.extend(range(base + done + 1, base + here + 1))
                self._invisible = 0
            done = here
            if match.lastgroup == "open" and not final:
                break
            if match.lastgroup == "open":
                after = here + 1
                continue
            folded = self._one(table.fold(_decode(match)))
            text.append(folded)
            starts.extend([base + here] * len(folded))
            ends.extend([base + after] * len(folded))
            done = after
        else:
            here = len(chunk)
            if done < here:
                text.append(table.simple.map_one_to_one(chunk[done:]))
                starts.extend(range(base + done, base + here))
                ends.extend(range(base + done + 1, base + here + 1))
                self._invisible = 0
            done = here
        self._tail = chunk[done:]
        self.at = base + done
        return Folded("".join(text), starts, ends, self.at)

    def _one(self, folded: str) -> str:
        if folded:
            self._invisible = 0
            return folded
        self._invisible += 1
        if self._invisible <= MAX_INVISIBLE:
            return ""
        self._invisible = 0
        return BREAK


@dataclass(frozen=True, slots=True)
class FoldTable:
    """The folds of the basic plane as a table, and the pattern of what a table cannot say."""

    simple: CharTable
    odd: re.Pattern[str]
    odd_or_escape: re.Pattern[str]
    odd_or_text_escape: re.Pattern[str]
    simplified: dict[str, str]

    def fold(self, char: str) -> str:
        """Fold one character of any plane."""
        return self.simple.of(char) if ord(char) < 0x10000 else _fold_char(char, self.simplified)


def fold(text: str, surface: Surface = "text") -> str:
    """Fold a whole text, offsets forgotten: for terms, allowed words and tests."""
    return Folder(surface).feed(text, final=True).text


def is_word(char: str) -> bool:
    """Whether a folded character joins into Latin-like words: letters and digits below the CJK blocks."""
    return char < "\u2e80" and char.isalnum()


@cache
def fold_table() -> FoldTable:
    """The fold of every character of the basic plane, built once per process."""
    simplified = _simplified()
    simple = [_fold_char(chr(code), simplified) for code in range(0x10000)]
    odd = [code for code, folded in enumerate(simple) if len(folded) != 1 or 0xD800 <= code <= 0xDFFF]
    odd_class = _char_class(odd) + "\U00010000-\U0010ffff"
    return FoldTable(
        simple=CharTable(simple),
        odd=re.compile(f"[{odd_class}]"),
        odd_or_escape=re.compile(rf"[\\{odd_class}]"),
        odd_or_text_escape=re.compile(rf"[\\&%<{odd_class}]"),
        simplified=simplified,
    )


def _simplified() -> dict[str, str]:
    """OpenCC's traditional-to-simplified characters, first choice where it names several; and the hyphens."""
    source = files("opencc").joinpath("dictionary", "TSCharacters.txt").read_text(encoding="utf-8")
    pairs = (line.split("\t") for line in source.splitlines() if "\t" in line)
    table = {old: new.split()[0] for old, new in pairs if len(old) == 1} | dict.fromkeys(_HYPHENS, "-")
    return {old: table.get(new, new) for old, new in table.items()}  # a few simplified ones are traditional too


def _fold_char(char: str, simplified: dict[str, str]) -> str:
    code = ord(char)
    if any(low <= code <= high for low, high in _TRIVIAL):
        return simplified.get(char, char)
    for low, high, first in _BADGES:
        if low <= code <= high:
            return chr(ord(first) + code - low)
    if char in _UNTOUCHED or char in _KEPT_CONTROLS:
        return char
    if unicodedata.category(char) == "Cs":
        return BREAK
    bare = "".join(
        c for c in unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", char).casefold()) if not _is_invisible(c)
    )
    if len(bare) > 1 and any(low <= code <= high for low, high in _BRACKETED):
        bare = bare.strip("().,")
    return "".join(simplified.get(c, c) for c in unicodedata.normalize("NFC", bare))


def _is_invisible(char: str) -> bool:
    if char in _BLANK_LETTERS:
        return True
    return unicodedata.category(char) in ("Cc", "Cf", "Mn", "Me") and char not in _KEPT_CONTROLS


def _char_class(codes: list[int]) -> str:
    """The inside of a regular expression's character class, neighbours joined to ranges."""
    spans: list[list[int]] = []
    for code in codes:
        if spans and spans[-1][1] == code - 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
    return "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in spans)


@cache
def _special(surface: Surface) -> re.Pattern[str]:
    """What the simple table cannot fold, as one pattern; group `open` is what more text may change."""
    odd = fold_table().odd.pattern
    hexa = "[0-9a-fA-F]"
    if surface == "text":
        return re.compile(f"{_text_escapes(hexa)}|{odd}")
    high = rf"\\u[dD][89abAB]{hexa}{{2}}"
    low_part = rf"\\(?:u(?:[dD](?:[c-fC-F]{hexa}?)?)?)?"
    return re.compile(
        rf"(?P<wide>{high}\\u[dD][c-fC-F]{hexa}{{2}})"
        rf"|(?P<open>(?:{high}(?:{low_part})?|\\(?:u{hexa}{{0,3}})?|[\ud800-\udbff])\Z)"
        rf"|(?P<unit>\\u{hexa}{{4}})"
        r'|(?P<short>\\["\\/bfnrt])'
        rf"|[\ud800-\udbff][\udc00-\udfff]|{odd}"
    )


def _text_escapes(hexa: str) -> str:
    """Escapes that people paste into running text; an unfinished one at the end is `open`."""
    more = f"%[89abAB]{hexa}"
    begun = "%[89abAB]?"
    percent = f"%[c-dC-D]{hexa}{more}|%[eE]{hexa}(?:{more}){{2}}|%[fF][0-4](?:{more}){{3}}|%[2-7]{hexa}"
    open_percent = (
        f"{begun}|%[2-7c-fC-F]|%[c-fC-F]{hexa}(?:{begun})?|%[eE]{hexa}{more}(?:{begun})?"
        f"|%[fF][0-4](?:{more}){{1,2}}(?:{begun})?"
    )
    entity = f"&#0{{0,8}}[0-9]{{1,7}};|&#[xX]0{{0,8}}{hexa}{{1,6}};|&(?:{'|'.join(_ENTITIES)});"
    open_entity = f"&(?:#0{{0,8}}[0-9]{{0,7}}|#[xX]0{{0,8}}{hexa}{{0,6}}|{_begun(_ENTITIES)})?"
    tag = f"</?(?:{'|'.join(_TAGS)}) ?/?>"
    open_tag = f"</?(?:{_begun(_TAGS)})?|</?(?:{'|'.join(_TAGS)}) ?/?"
    code = rf"\\u{hexa}{{4}}|\\u\{{{hexa}{{1,6}}\}}|\\U{hexa}{{8}}"
    open_code = rf"\\(?:u{hexa}{{0,3}}|u\{{{hexa}{{0,6}}|U{hexa}{{0,7}})?"
    return (
        f"(?P<percent>{percent})|(?P<entity>{entity})|(?P<code>{code})|(?P<break>\\\\[nrt])|(?P<tag>{tag})"
        f"|(?P<open>(?:{open_percent}|{open_entity}|{open_code}|{open_tag}|[\ud800-\udbff])\\Z)"
        "|[\ud800-\udbff][\udc00-\udfff]"
    )


def _begun(words: tuple[str, ...]) -> str:
    """The beginnings of words, the longest first."""
    return "|".join(sorted({word[:size] for word in words for size in range(1, len(word) + 1)}, key=len, reverse=True))


_ENTITIES = ("amp", "lt", "gt", "quot", "apos", "nbsp", "shy", "zwj", "zwnj", "ZeroWidthSpace", "NoBreak")
_TAGS = ("b", "i", "u", "s", "em", "strong", "span", "font", "sub", "sup", "small", "mark", "wbr")
"""Tags that part no words, without attributes: what stands in those is text."""

_TAG = "·"  # a separator that stands in no word

_SHORT_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _decode(match: re.Match[str]) -> str:
    """The one character that an escape, a surrogate pair or an odd character stands for."""
    token = match.group()
    if match.lastgroup == "wide":
        return _join(int(token[2:6], 16), int(token[8:12], 16))
    if match.lastgroup == "unit":
        return chr(int(token[2:6], 16))
    if match.lastgroup == "percent":
        return bytes.fromhex(token.replace("%", "")).decode(errors="replace")
    if match.lastgroup == "entity":
        return html.unescape(token)[:1] or BREAK
    if match.lastgroup == "code":
        code = int(token[2:].strip("{}"), 16)
        return chr(code) if code <= sys.maxunicode else BREAK
    if match.lastgroup == "break":
        return _SHORT_ESCAPES[token[1]]
    if match.lastgroup == "tag":
        return _TAG
    if match.lastgroup == "short":
        return _SHORT_ESCAPES.get(token[1], token[1])
    return _join(ord(token[0]), ord(token[1])) if len(token) == 2 else token


def _join(high: int, low: int) -> str:
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))

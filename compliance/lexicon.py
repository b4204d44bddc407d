"""Word lists: terms to find and longer words that excuse them. A bad file is rejected whole.

A term file has lines `term<TAB>risk<TAB>severity`. A first row `term<TAB>risk<TAB>severity<TAB>…` names further
columns: `foldings` (the disguises to look through: names of `Folding` joined by commas, `all`, `none`, `strict`;
empty: what `default_foldings` says), `boundary` (`word`: Latin ends need a word boundary, the default; `none`),
`contexts` (words that excuse the term, joined by `|`; `~` stands for the term: `远离~`; or that sound like it and
are ordinary: 强制出售 for 枪支出售), `source`, `added` and `reviewed` (dates: 2026-11-24), and any others as notes.
An allow file has one word per line, further columns are notes. `#` starts a comment line; blank lines are skipped.
docs/lexicons.md explains all of it with examples.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, cast, get_args

from compliance.keywords.excuses import occurrences
from compliance.keywords.foldings import Folding
from compliance.taxonomy import read_text
from compliance.unicode import BREAK, fold, is_word
from compliance.verdict import RulesError, Severity

MAX_TERM = 64
"""Longest term in folded characters; it bounds what a stream may have to hold back."""


Row = tuple[int, list[str]]
"""The number of a line and its columns."""


class Term(NamedTuple):
    """One line of a term file: a tuple, since long lists have many."""

    folded: str
    risk: str
    severity: Severity
    file: str
    line: int
    foldings: Folding
    bounded: bool
    contexts: tuple[str, ...]
    text: str
    source: str
    added: date | None
    reviewed: date | None

    @property
    def rule(self) -> str:
        """`file:line`, so that a finding can be traced without quoting it."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Lexicon:
    """All terms and allowed words that one pipeline knows, folded."""

    terms: tuple[Term, ...]
    allowed: tuple[str, ...]


def load_lexicon(term_files: tuple[Path, ...], allow_files: tuple[Path, ...], risks: frozenset[str]) -> Lexicon:
    """Read every file; the first bad line is a `RulesError` with file, line and mend."""
    terms = [term for path in term_files for term in read_terms(path, risks)]
    allowed = [word for path in allow_files for word in read_allowed(path)]
    return Lexicon(tuple(terms), tuple(dict.fromkeys(allowed)))


def list_digest(path: Path) -> str:
    """The version of a list: the first twelve hexadecimal digits of its content's SHA-256."""
    return hashlib.sha256(read_text(path).encode()).hexdigest()[:12]


def read_terms(path: Path, risks: frozenset[str]) -> Iterator[Term]:
    """The terms of one file; the first bad line, or a term that stands twice for one risk, is a `RulesError`."""
    rows = _rows(path)
    first = next(rows, None)
    if first is None:
        return
    number, columns = first
    header = columns[0] == "term"
    names = _columns(path, number, columns) if header else ["term", "risk", "severity"]
    pick = itemgetter(*(names.index(name) if name in names else -1 for name in _NAMES))
    padding = [""] * (len(names) + 1)
    line_of: dict[tuple[str, str], int] = {}
    known: dict[str, str] = {}
    for number, columns, folded in _folded(rows if header else chain([first], rows)):
        if len(columns) < 3:
            raise _bad(
                path, number, "needs term, risk and severity separated by tabs",
                "需要用制表符分隔的词、风险、级别三列",
            )  # fmt: skip
        row = pick(columns[: len(names)] + padding)  # the last one is empty: what has no column
        term = _term(path, number, columns[0], folded, row, risks, known)
        before = line_of.setdefault((term.folded, term.risk), number)
        if before != number:
            raise _bad(
                path, number, f"the same term for the same risk as line {before}; remove one of the two lines",
                f"与第 {before} 行的词和风险相同，请删除其中一行",
            )  # fmt: skip
        yield term


def _columns(path: Path, number: int, names: list[str]) -> list[str]:
    for name in ("risk", "severity"):
        if name not in names:
            raise _bad(
                path, number, f"the header has no column {name!r}; name term, risk and severity",
                f"表头缺少 {name} 列，须有 term、risk、severity",
            )  # fmt: skip
    for name in names:
        if name and names.count(name) > 1:
            raise _bad(
                path, number, f"the header names the column {name!r} twice; rename one",
                f"表头中 {name} 列出现两次，请改名",
            )  # fmt: skip
    return names


def _folded(rows: Iterable[Row]) -> Iterator[tuple[int, list[str], str]]:
    """Rows with their first columns folded, many at a time."""
    rows = iter(rows)
    while some := list(islice(rows, _AT_A_TIME)):
        entries = [columns[0] for _, columns in some]
        folded = fold("\n".join(entries)).split("\n")
        if len(folded) != len(entries):  # one of them is an escape of a line break
            folded = [fold(entry) for entry in entries]
        yield from ((number, columns, one) for (number, columns), one in zip(some, folded, strict=True))


_AT_A_TIME = 1000


_NAMES = ("risk", "severity", "foldings", "boundary", "contexts", "source", "added", "reviewed")


def _term(
    path: Path,
    number: int,
    text: str,
    folded: str,
    row: tuple[str, ...],
    risks: frozenset[str],
    known: dict[str, str],
) -> Term:
    """`row`: the columns of `_NAMES`. `known` keeps what stands in many rows, so that it is there once."""
    risk, severity, foldings, boundary, contexts, source, added, reviewed = row
    if risk not in risks:
        raise _bad(
            path, number, f"unknown risk {risk!r}; use an id of configs/taxonomy.yaml",
            f"风险 {risk!r} 不存在，请用 configs/taxonomy.yaml 里的 id",
        )  # fmt: skip
    if severity not in _SEVERITIES:
        raise _bad(
            path, number, f"unknown severity {severity!r}; use low, medium or high",
            f"级别 {severity!r} 不存在，请用 low、medium 或 high",
        )  # fmt: skip
    _check_entry(path, number, folded)
    return Term(
        folded,
        known.setdefault(risk, risk),
        cast("Severity", known.setdefault(severity, severity)),
        path.name,
        number,
        _foldings(path, number, foldings, folded),
        _bounded(path, number, boundary),
        _contexts(path, number, contexts, folded) if contexts else (),
        folded if text == folded else text,
        known.setdefault(source, source),
        _date(path, number, "added", added) if added else None,
        _date(path, number, "reviewed", reviewed) if reviewed else None,
    )


_SEVERITIES = frozenset(get_args(Severity))


def _foldings(path: Path, number: int, given: str, folded: str) -> Folding:
    if given in ("", "strict"):
        return strict_foldings(folded) if given else default_foldings(folded)
    try:
        return _parsed(given)
    except KeyError as error:
        known = Folding(sum(Folding)).names()
        raise _bad(
            path, number, f"unknown folding {error}; use some of {known}, or strict, all, none",
            f"未知的 folding {error}，请用 {known}、strict、all 或 none",
        ) from None  # fmt: skip


def default_foldings(folded: str) -> Folding:
    """The disguises of a term whose line names none: those that cost ordinary text nothing, and no memory."""
    return _default_foldings(*_counted(folded))


def strict_foldings(folded: str) -> Folding:
    """The disguises of a term on a line that says `strict`: the longer it is, the less ordinary text is at risk."""
    signs, letters = _counted(folded)
    foldings = _default_foldings(signs, letters)
    if signs and len(folded) >= 3:
        foldings |= Folding.pinyin
    if signs >= 3:
        foldings |= Folding.initials
    if signs >= 4:
        foldings |= Folding.homophones
    return foldings


def _counted(folded: str) -> tuple[int, int]:
    """How many Chinese characters and how many letters a term has."""
    if _SIGNS.fullmatch(folded):
        return len(folded), 0
    others = _SIGNS.sub("", folded)
    return len(folded) - len(others), sum(map(is_word, others))


_SIGNS = re.compile("[\u3400-\u9fff]+")


_parsed = cache(Folding.parse)


@cache  # long lists have few kinds of terms
def _default_foldings(signs: int, letters: int) -> Folding:
    foldings = Folding.separators | Folding.repeats | Folding.lookalikes
    if signs == 0:
        return foldings | Folding.leet if letters >= 4 else Folding.none
    if signs + letters >= 3:
        foldings |= Folding.numbers
    return foldings | Folding.split


def _bounded(path: Path, number: int, given: str) -> bool:
    if given not in ("", "word", "none"):
        raise _bad(
            path,
            number,
            f"unknown boundary {given!r}; use word or none",
            f"未知的 boundary {given!r}，请用 word 或 none",
        )
    return given != "none"


def _contexts(path: Path, number: int, given: str, folded: str) -> tuple[str, ...]:
    contexts = tuple(fold(one.strip()).replace("~", folded) for one in given.split("|") if one.strip())
    for one in contexts:
        if one == folded or not occurrences(one, folded):
            raise _bad(
                path, number, f"the context {one!r} neither holds the term and more (~ for it) nor sounds like it",
                f"contexts 中的 {one!r} 须包含该词及其他字（可用 ~ 代表该词），或与该词同音",
            )  # fmt: skip
    return contexts


def _date(path: Path, number: int, column: str, given: str) -> date:
    try:
        return _parsed_date(given)
    except ValueError:
        raise _bad(
            path, number, f"{column}: {given!r} is no date; write it like 2026-11-24",
            f"{column} 列的 {given!r} 不是日期，请写成 2026-11-24 的形式",
        ) from None  # fmt: skip


_parsed_date = cache(date.fromisoformat)


def read_allowed(path: Path) -> Iterator[str]:
    """The folded allowed words of one file; the first bad line is a `RulesError`."""
    first = True
    for number, columns, folded in _folded(_rows(path)):
        if not (first and columns[0] == "word"):
            _check_entry(path, number, folded)
            yield folded
        first = False


def _rows(path: Path) -> Iterator[Row]:
    """The rows that are neither comments nor blank."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.startswith("#") and line.strip():
            yield number, [column.strip() for column in line.removesuffix("\r").split("\t")]


def _check_entry(path: Path, number: int, folded: str) -> None:
    if BREAK in folded or not folded.strip():
        raise _bad(
            path,
            number,
            "nothing of this entry can be seen; remove the line",
            "该词条没有可见字符，请删除此行",
        )
    if len(folded) > MAX_TERM:
        raise _bad(path, number, f"longer than {MAX_TERM} characters; shorten it", f"超过 {MAX_TERM} 个字符，请缩短")


def _bad(path: Path, number: int, en: str, zh: str) -> RulesError:
    return RulesError(f"{path}:{number}: {en}", f"{path}:{number}：{zh}")

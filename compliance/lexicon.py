"""Word lists: terms to find and longer words that excuse them. A bad file is rejected whole.

A term file has lines `term<TAB>risk<TAB>severity`, further columns are notes; an allow file has one
word per line, further columns are notes. `#` starts a comment line; blank lines are skipped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from compliance.taxonomy import read_text
from compliance.unicode import BREAK, fold
from compliance.verdict import RulesError, Severity

MAX_TERM = 64
"""Longest term in folded characters; it bounds what a stream may have to hold back."""


@dataclass(frozen=True, slots=True)
class Term:
    """One line of a term file. `rule` is `file:line`, so a finding can be traced without quoting it."""

    folded: str
    risk: str
    severity: Severity
    rule: str


@dataclass(frozen=True, slots=True)
class Lexicon:
    """All terms and allowed words that one pipeline knows, folded."""

    terms: tuple[Term, ...]
    allowed: tuple[str, ...]


def load_lexicon(term_files: tuple[Path, ...], allow_files: tuple[Path, ...], risks: frozenset[str]) -> Lexicon:
    """Read every file; the first bad line is a `RulesError` with file, line and mend."""
    terms = [term for path in term_files for term in _terms(path, risks)]
    allowed = [word for path in allow_files for word in _allowed(path)]
    return Lexicon(tuple(terms), tuple(dict.fromkeys(allowed)))


def _terms(path: Path, risks: frozenset[str]) -> Iterator[Term]:
    for number, columns in _rows(path, "term"):
        if len(columns) < 3:
            raise _bad(
                path,
                number,
                "needs term, risk and severity separated by tabs",
                "需要用制表符分隔的词、风险、级别三列",
            )
        term, risk, severity = columns[:3]
        if risk not in risks:
            raise _bad(
                path, number, f"unknown risk {risk!r}; use an id of configs/taxonomy.yaml",
                f"风险 {risk!r} 不存在，请用 configs/taxonomy.yaml 里的 id",
            )  # fmt: skip
        if severity not in get_args(Severity):
            raise _bad(
                path, number, f"unknown severity {severity!r}; use low, medium or high",
                f"级别 {severity!r} 不存在，请用 low、medium 或 high",
            )  # fmt: skip
        folded = _fold_entry(path, number, term)
        yield Term(folded, risk, cast("Severity", severity), f"{path.name}:{number}")


def _allowed(path: Path) -> Iterator[str]:
    for number, columns in _rows(path, "word"):
        yield _fold_entry(path, number, columns[0])


def _rows(path: Path, header: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are neither comments nor blank, nor the header, which may be the first of them."""
    first = True
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        line = line.removesuffix("\r")
        if line.strip() and not line.startswith("#"):
            columns = [column.strip() for column in line.split("\t")]
            if not (first and columns[0] == header):
                yield number, columns
            first = False


def _fold_entry(path: Path, number: int, entry: str) -> str:
    folded = fold(entry)
    if not folded.strip() or BREAK in folded:
        raise _bad(
            path,
            number,
            "nothing of this entry can be seen; remove the line",
            "该词条没有可见字符，请删除此行",
        )
    if len(folded) > MAX_TERM:
        raise _bad(path, number, f"longer than {MAX_TERM} characters; shorten it", f"超过 {MAX_TERM} 个字符，请缩短")
    return folded


def _bad(path: Path, number: int, en: str, zh: str) -> RulesError:
    return RulesError(f"{path}:{number}: {en}", f"{path}:{number}：{zh}")

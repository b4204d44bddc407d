"""Word lists as others keep them, read into candidates for a term list.

`lines`: a term per line, plain or in Base64, with or without a comma at its end. `csv`, `tsv`: a header names the
columns. `sensitive-word`: `term tag1,tag2`, as the project houbb/sensitive-word has it in sensitive_word_tags.txt;
its other files are `lines`.
"""

import base64
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from compliance.taxonomy import read_bytes
from compliance.verdict import RulesError


class Format(StrEnum):
    """The formats that can be imported."""

    auto = "auto"
    lines = "lines"
    csv = "csv"
    tsv = "tsv"
    sensitive_word = "sensitive-word"


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table to read, by the names in its header; empty: one of the usual names."""

    term: str = ""
    risk: str = ""
    severity: str = ""
    tags: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry of a foreign list. `risk` and `severity` are empty where the list does not say."""

    line: int
    text: str
    risk: str = ""
    severity: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A foreign list that has been read; `broken` are lines that should be Base64 and are not."""

    encoding: str
    format: Format
    in_base64: bool
    candidates: tuple[Candidate, ...]
    broken: tuple[Candidate, ...] = field(default=())


USUAL = {
    "term": (
        "term",
        "word",
        "keyword",
        "keywords",
        "text",
        "词",
        "词条",
        "词语",
        "敏感词",
        "关键词",
        "违禁词",
        "屏蔽词",
    ),
    "risk": ("risk", "风险"),
    "severity": ("severity", "level", "级别", "等级"),
    "tags": ("tags", "tag", "category", "type", "标签", "分类", "类别", "类型"),
}


def read_source(path: Path, wanted: Format, columns: Columns) -> Source:
    """Read a foreign list; a file that cannot be read or decoded, or lacks its columns, is a `RulesError`."""
    text, encoding = _decoded(path)
    form = _guessed(path, text) if wanted is Format.auto else wanted
    if form in (Format.csv, Format.tsv):
        return Source(encoding, form, False, tuple(_table(path, text, form, columns)))
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if form is Format.sensitive_word:
        return Source(encoding, form, False, tuple(_tagged(number, line) for number, line in lines))
    decoded = [(number, _from_base64(line)) for number, line in lines]
    if not _is_base64([word for _, word in decoded]):
        return Source(encoding, form, False, tuple(Candidate(number, _bare(line)) for number, line in lines))
    whole = tuple(Candidate(number, _bare(word)) for number, word in decoded if word is not None)
    broken = tuple(
        Candidate(number, line) for (number, line), (_, word) in zip(lines, decoded, strict=True) if not word
    )
    return Source(encoding, form, True, whole, broken)


def _decoded(path: Path) -> tuple[str, str]:
    data = read_bytes(path)
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, "UTF-8" if encoding == "utf-8-sig" else "GB18030"
    raise RulesError(
        f"{path}: neither UTF-8 nor GB18030; save the file as UTF-8",
        f"{path}：既不是 UTF-8 也不是 GB18030，请另存为 UTF-8",
    )


def _guessed(path: Path, text: str) -> Format:
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    for form, mark in ((Format.tsv, "\t"), (Format.csv, ",")):
        names = [name.strip().strip('"').lower() for name in first.split(mark)]
        if path.suffix.lower() == f".{form}" or (len(names) > 1 and names[0] in USUAL["term"]):
            return form
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    tagged = sum(1 for line in lines if _TAGGED.fullmatch(line.strip()))
    return Format.sensitive_word if lines and tagged * 10 >= len(lines) * 9 else Format.lines


_TAGGED = re.compile(r"\S.* \d+(,\d+)*|\S*[\u4e00-\u9fff]\S* \S+")


def _table(path: Path, text: str, form: Format, columns: Columns) -> Iterator[Candidate]:
    lines = io.StringIO(text, newline="")
    if form is Format.csv:
        rows = csv.reader(lines, strict=True)
    else:
        rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    at: dict[str, int] = {}
    try:
        for row in rows:
            if not "".join(row).strip() or row[0].startswith("#"):
                continue
            if not at:
                at = _places(path, rows.line_num, [name.strip() for name in row], columns)
                continue
            cells = {name: row[place].strip() if place < len(row) else "" for name, place in at.items()}
            tags = tuple(tag.strip() for tag in re.split("[,，;；|]", cells.get("tags", "")) if tag.strip())
            yield Candidate(rows.line_num, cells["term"], cells.get("risk", ""), cells.get("severity", ""), tags)
    except csv.Error as error:
        raise RulesError(
            f"{path}:{rows.line_num}: not a {form} table ({error}); mend the quotes of this line",
            f"{path}:{rows.line_num}：不是合法的 {form} 表格，请修正此行的引号",
        ) from None


def _places(path: Path, line: int, header: list[str], columns: Columns) -> dict[str, int]:
    at: dict[str, int] = {}
    for name, usual in USUAL.items():
        given = getattr(columns, name)
        found = [place for place, title in enumerate(header) if (title == given if given else title.lower() in usual)]
        if found:
            at[name] = found[0]
        elif given or name == "term":
            named = given or "term"
            raise RulesError(
                f"{path}:{line}: the header has no column {named!r}; name it with --{name}-column",
                f"{path}:{line}：表头没有 {named} 列，请用 --{name}-column 指明",
            )
    return at


def _tagged(line: int, text: str) -> Candidate:
    term, _, tags = text.rpartition(" ")
    if not term:
        return Candidate(line, text)
    return Candidate(line, term.strip(), tags=tuple(tag for tag in tags.split(",") if tag))


def _bare(line: str) -> str:
    return line.strip().rstrip(",，;；、|").strip()


def _from_base64(line: str) -> str | None:
    """The text of a line in Base64; its encoded line break may have been appended as a group of its own."""
    try:
        parts = [line.removesuffix("Cg=="), "Cg=="] if line.endswith("Cg==") else [line]
        return b"".join(base64.b64decode(part, validate=True) for part in parts).decode().strip() or None
    except ValueError:  # not Base64, not ASCII, not UTF-8
        return None


def _is_base64(words: list[str | None]) -> bool:
    """Nearly all lines decode, and most of them to something that is not Latin: `porn` is Base64 too."""
    known = [word for word in words if word]
    foreign = sum(1 for word in known if any(ord(char) > 0x2E80 for char in word))
    return len(words) > 0 and len(known) * 10 >= len(words) * 9 and foreign * 2 > len(known)

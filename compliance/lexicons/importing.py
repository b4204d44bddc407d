"""From a foreign word list to a term file: what is taken over, what is left out, and why."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from typing import cast, get_args

from compliance.lexicon import MAX_TERM
from compliance.lexicons.sources import Candidate, Source
from compliance.taxonomy import read_text
from compliance.unicode import BREAK, fold
from compliance.verdict import RulesError, Severity

HEADER = ("term", "risk", "severity", "foldings", "boundary", "contexts", "source", "added", "reviewed")


class Reason(Enum):
    """Why an entry was left out, in English and Chinese."""

    empty = ("nothing of it can be seen", "没有可见字符")
    short = ("one character: it would hit far too much", "只有一个字符，误伤太多")
    long = (f"longer than {MAX_TERM} characters", f"超过 {MAX_TERM} 个字符")
    twice = ("stands twice, once width, case and script are alike", "统一宽度、大小写、简繁后重复")
    allowed = ("an allowed word", "是允许词")
    untold = ("no risk: its tags have none and --risk is not given", "没有风险：标签未对应风险，也未给出 --risk")
    strange_risk = ("its risk is not one of configs/taxonomy.yaml", "风险不在 configs/taxonomy.yaml 中")
    strange_severity = ("its severity is not low, medium or high", "级别不是 low、medium 或 high")
    broken = ("not Base64, unlike the rest of the file", "不是 Base64，与文件其他行不同")


@dataclass(frozen=True, slots=True)
class Meant:
    """A risk and a severity; empty: not said."""

    risk: str
    severity: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the new term file."""

    line: int
    text: str
    risk: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class Imported:
    """The rows of the new file, and the entries left out with the reason."""

    rows: tuple[Row, ...]
    skipped: tuple[tuple[Candidate, Reason], ...]


def load_tags(path: Path, risks: frozenset[str]) -> dict[str, Meant]:
    """What each tag means, from rows `tag<TAB>risk<TAB>severity`; severity may be left out. Errors name the line."""
    meant: dict[str, Meant] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        cells = [cell.strip() for cell in line.split("\t")]
        if not line.strip() or line.startswith("#") or (not meant and cells[:2] == ["tag", "risk"]):
            continue
        severity = cells[2] if len(cells) > 2 else ""
        if len(cells) < 2 or cells[1] not in risks or severity not in ("", *get_args(Severity)):
            raise RulesError(
                f"{path}:{number}: write tag, risk of configs/taxonomy.yaml and low, medium or high, with tabs between",
                f"{path}:{number}：请写标签、configs/taxonomy.yaml 中的风险、low/medium/high，用制表符分隔",
            )
        meant[cells[0]] = Meant(cells[1], severity)
    return meant


def select(
    source: Source, fallback: Meant, tags: Mapping[str, Meant], allowed: frozenset[str], risks: frozenset[str]
) -> Imported:
    """Choose what becomes a term. An entry of several risks by its tags becomes a row for each."""
    rows: dict[tuple[str, str], Row] = {}
    skipped = [(one, Reason.broken) for one in source.broken]
    for one in source.candidates:
        folded = fold(one.text)
        reason = _unfit(folded, allowed)
        if reason is None:
            for meant in _meanings(one, fallback, tags):
                reason = _unknown(meant, risks)
                if reason is None and (folded, meant.risk) in rows:
                    reason = Reason.twice
                if reason is None:
                    severity = cast("Severity", meant.severity)
                    rows[folded, meant.risk] = Row(one.line, " ".join(one.text.split()), meant.risk, severity)
                else:
                    skipped.append((one, reason))
        else:
            skipped.append((one, reason))
    return Imported(tuple(rows.values()), tuple(sorted(skipped, key=lambda pair: pair[0].line)))


def _unfit(folded: str, allowed: frozenset[str]) -> Reason | None:
    if not folded.strip() or BREAK in folded:
        return Reason.empty
    if len(folded.strip()) == 1:
        return Reason.short
    if len(folded) > MAX_TERM:
        return Reason.long
    return Reason.allowed if folded in allowed else None


def _meanings(one: Candidate, fallback: Meant, tags: Mapping[str, Meant]) -> Iterator[Meant]:
    """What an entry means: its own risk goes before its tags, those before what the caller said."""
    own = [Meant(one.risk, one.severity)] if one.risk else [tags[tag] for tag in one.tags if tag in tags]
    for meant in dict.fromkeys(own) or [fallback]:
        yield Meant(meant.risk, one.severity or meant.severity or fallback.severity)


def _unknown(meant: Meant, risks: frozenset[str]) -> Reason | None:
    if not meant.risk:
        return Reason.untold
    if meant.risk not in risks:
        return Reason.strange_risk
    return None if meant.severity in get_args(Severity) else Reason.strange_severity


def as_text(rows: Iterable[Row], source: str, today: date) -> str:
    """The term file. Nobody has reviewed the lines yet, so that column stays empty."""
    lines = [f"{row.text}\t{row.risk}\t{row.severity}\t\t\t\t{source}\t{today.isoformat()}\t" for row in rows]
    return "\n".join(["\t".join(HEADER), *lines]) + "\n"

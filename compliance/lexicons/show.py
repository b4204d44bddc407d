"""What `opcgate lexicon` prints: tables for people, JSON for scripts."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import typer

from compliance.lexicon import Term
from compliance.lexicons.banks import Coverage, KeywordLibraryRule, RiskCoverage, Status
from compliance.lexicons.diff import Diff
from compliance.lexicons.importing import Imported
from compliance.lexicons.sources import Source
from compliance.verdict import Severity

_SHOWN = 20
"""So many entries are named one by one; the JSON has all."""

_SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low")
_STATUS_ZH = {Status.met: "达标", Status.not_met: "未达标", Status.missing: "缺失", Status.no_rule: "无要求"}


def imported(output: Path, read: Source, made: Imported, warned: list[tuple[str, int]], as_json: bool) -> None:
    """What was written, what was left out, and which terms hit ordinary text."""
    if as_json:
        _print_json(
            {
                "written": str(output),
                "encoding": read.encoding,
                "format": str(read.format),
                "base64": read.in_base64,
                "terms": len(made.rows),
                "skipped": [
                    {"line": one.line, "text": one.text, "reason": reason.value[0]} for one, reason in made.skipped
                ],
                "hits": [{"text": text, "sentences": count} for text, count in warned],
            }
        )
        return
    how = f"{read.encoding}, {read.format}{', Base64' if read.in_base64 else ''}"
    typer.echo(f"{output}: {len(made.rows)} terms written ({how}) / 已写入 {len(made.rows)} 条")
    if made.skipped:
        rows = [(str(one.line), one.text, " / ".join(reason.value)) for one, reason in made.skipped[:_SHOWN]]
        _table(("line / 行", "entry / 词条", "left out: why / 未导入原因"), rows)
        typer.echo(f"{len(made.skipped)} left out / 未导入 {len(made.skipped)} 条：{reasons(made, 'zh')}")
    for text, count in warned[:_SHOWN]:
        typer.echo(f"warning: {text!r} hits {count} ordinary sentences / 警告：误中 {count} 句普通文本", err=True)
    if len(warned) > _SHOWN:
        typer.echo(f"and {len(warned) - _SHOWN} more such terms / 另有 {len(warned) - _SHOWN} 条", err=True)


def reasons(made: Imported, language: Literal["en", "zh"]) -> str:
    """How many entries were left out for which reason."""
    counts = Counter(reason for _, reason in made.skipped)
    at = 0 if language == "en" else 1
    return "; ".join(f"{count} × {reason.value[at]}" for reason, count in counts.most_common())


def checked(lists: Mapping[Path, tuple[str, int]], covered: Coverage, rule: KeywordLibraryRule, as_json: bool) -> None:
    """The lists with their digests, and the counts beside what is asked."""
    if as_json:
        _print_json(_coverage_json(lists, covered, rule))
        return
    _table(
        ("file / 文件", "digest / 摘要", "terms / 词条"),
        [(str(path), digest, str(count)) for path, (digest, count) in lists.items()],
    )
    _table(
        ("clause", "risk / 风险", "terms", "/".join(_SEVERITIES), "asked", "status / 结论"),
        [_risk_cells(one) for one in covered.risks],
    )
    age = "no dates / 无日期" if covered.age_days is None else f"{covered.newest} ({covered.age_days} days / 天)"
    _table(
        ("rule / 要求", "is / 现状", "asked / 要求", "confidence / 可信度", "status / 结论"),
        [
            (
                "total / 总数",
                str(covered.total),
                f">= {rule.total.at_least}",
                rule.total.confidence,
                _status(covered.total_status),
            ),
            (
                "newest line / 最近更新",
                age,
                f"<= {rule.refreshed.within_days} days / 天",
                rule.refreshed.confidence,
                _status(covered.age_status),
            ),
        ],
    )
    short = [one.risk for one in covered.risks if one.from_authority and one.status is not Status.met]
    if short:
        typer.echo("Only an authority defines these; to be imported by the operator / 须由主管部门界定、运营方导入:")
        for risk in short:
            typer.echo(f"  {risk.clause} {risk.id} {risk.zh}")
    if covered.unreviewed:
        typer.echo(f"{covered.unreviewed} terms without a review date / {covered.unreviewed} 条没有复核日期")
    typer.echo("Meeting the numbers is no approval. / 数量达标不等于通过备案。")


def _risk_cells(one: RiskCoverage) -> tuple[str, ...]:
    counts = "/".join(str(one.by_severity.get(severity, 0)) for severity in _SEVERITIES)
    asked = "" if one.at_least is None else f">= {one.at_least}"
    return (one.risk.clause, one.risk.id, str(one.count), counts, asked, _status(one.status))


def _status(status: Status) -> str:
    return "" if status is Status.no_rule else f"{status} / {_STATUS_ZH[status]}"


def _coverage_json(
    lists: Mapping[Path, tuple[str, int]], covered: Coverage, rule: KeywordLibraryRule
) -> dict[str, Any]:
    return {
        "met": covered.met,
        "files": [{"file": str(path), "digest": digest, "terms": count} for path, (digest, count) in lists.items()],
        "total": {"terms": covered.total, "status": covered.total_status, **rule.total.model_dump()},
        "refreshed": {
            "newest": covered.newest.isoformat() if covered.newest else None,
            "age_days": covered.age_days,
            "status": covered.age_status,
            **rule.refreshed.model_dump(),
        },
        "unreviewed": covered.unreviewed,
        "risks": [
            {
                "risk": one.risk.id,
                "clause": one.risk.clause,
                "terms": one.count,
                **{severity: one.by_severity.get(severity, 0) for severity in _SEVERITIES},
                "at_least": one.at_least,
                "status": one.status,
                "from_authority": one.from_authority,
            }
            for one in covered.risks
        ],
    }


def differences(found: Diff, as_json: bool) -> None:
    """The terms added, removed and changed."""
    if as_json:
        _print_json(
            {
                "added": [_term_json(term) for term in found.added],
                "removed": [_term_json(term) for term in found.removed],
                "changed": [
                    {"term": one.term.text, "fields": {name: list(pair) for name, pair in one.fields.items()}}
                    for one in found.changed
                ],
            }
        )
        return
    if not found:
        typer.echo("the same terms / 词条相同")
        return
    rows = [*_diff_rows("added / 新增", found.added), *_diff_rows("removed / 删除", found.removed)]
    for one in found.changed:
        what = "; ".join(f"{name}: {was} -> {now}" for name, (was, now) in one.fields.items())
        rows.append(("changed / 修改", one.term.text, what))
    _table(("", "term / 词条", "what / 内容"), rows)
    typer.echo(f"+{len(found.added)} -{len(found.removed)} ~{len(found.changed)}")


def _diff_rows(kind: str, terms: Iterable[Term]) -> list[tuple[str, ...]]:
    return [(kind, term.text, f"{term.risk}, {term.severity}") for term in terms]


def _term_json(term: Term) -> dict[str, str]:
    return {"term": term.text, "risk": term.risk, "severity": term.severity, "foldings": term.foldings.names()}


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for number, title in enumerate(titles):
        table.add_column(title, no_wrap=number < 2, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _print_json(answer: dict[str, Any]) -> None:
    typer.echo(json.dumps(answer, ensure_ascii=False))

"""What a run prints: JSON for scripts, tables for people."""

import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from compliance.scan.checker import Scanned, as_dict
from compliance.scan.tree import Selection
from compliance.verdict import Finding, Verdict

LINES_SHOWN = 8


def print_json(answer: dict[str, Any]) -> None:
    """One object on one line of standard output."""
    text = json.dumps(answer, ensure_ascii=False)
    try:
        data = text.encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8, but a JSON escape
        data = json.dumps(answer).encode()
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()


def file_as_dict(scanned: Scanned) -> dict[str, Any]:
    """One file's outcome as it is printed."""
    if scanned.problem is not None or scanned.verdict is None:
        return {"file": scanned.file, "error": scanned.problem._asdict() if scanned.problem else {}}
    answer = {"file": scanned.file, "encoding": scanned.encoding} | as_dict(scanned.verdict)
    for finding, line in zip(answer["findings"], scanned.lines, strict=True):
        finding["line"] = line
    return answer


def print_table(verdict: Verdict, text: str) -> None:
    """The findings of one text as a table and, where something was taken out, what would be released."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text(f"verdict / 结论: {verdict.action}"))
    if not verdict.findings:
        return
    table = Table("line / 行", "span / 位置", "action / 处置", "type / 类型", "risk / 风险", "why / 原因")
    for one in verdict.findings:
        line = str(text.count("\n", 0, one.start) + 1)
        span = f"{one.start}-{one.end}"
        table.add_row(line, span, str(one.action), one.type, f"{one.risk} ({one.severity})", _why(one))
    console.print(table)
    console.print(Text("released / 放行文本:"))
    console.print(Text(verdict.released.encode("utf-8", "replace").decode()))


def print_summary(outcomes: Iterable[Scanned], selection: Selection) -> None:
    """A table by file and risk, one by risk, what could not be scanned, and what was not selected."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    console = Console()
    files = sorted(outcomes, key=lambda one: one.file)
    found = [one for one in files if one.verdict is not None and one.verdict.findings]
    if found:
        name = Column("file / 文件", overflow="fold")
        by_file = Table(name, "risk / 风险", "action / 处置", "count / 数量", "lines / 行")
        for one in found:
            for risk, rows in _by_risk(one).items():
                action = max((finding.action for finding, _ in rows), key=lambda action: action.rank)
                by_file.add_row(Text(one.file), risk, str(action), str(len(rows)), _shown(line for _, line in rows))
        console.print(by_file)
        by_risk = Table("risk / 风险", "files / 文件数", "findings / 发现数")
        for risk, (in_files, findings) in _totals(found).items():
            by_risk.add_row(risk, str(in_files), str(findings))
        console.print(by_risk)
    problems = [one for one in files if one.problem is not None]
    if problems:
        console.print(Text("not scanned / 未能扫描:"))
        for one in problems:
            if one.problem is not None:
                console.print(Text(f"  {one.problem.en} / {one.problem.zh}"))
    scanned = len(files) - len(problems)
    console.print(
        Text(
            f"scanned / 已扫描: {scanned}; with findings / 有发现: {len(found)}; "
            f"not scanned / 未能扫描: {len(problems)}; not selected / 未选择: {_counted(selection.left_out)}"
        )
    )


def _by_risk(one: Scanned) -> Mapping[str, list[tuple[Finding, int]]]:
    by_risk: dict[str, list[tuple[Finding, int]]] = defaultdict(list)
    if one.verdict is not None:
        for finding, line in zip(one.verdict.findings, one.lines, strict=True):
            by_risk[finding.risk].append((finding, line))
    return by_risk


def _totals(found: list[Scanned]) -> dict[str, tuple[int, int]]:
    """For each risk in how many files it was found and how often, the most frequent first."""
    files: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    for one in found:
        for risk, rows in _by_risk(one).items():
            files[risk] += 1
            findings[risk] += len(rows)
    return {risk: (files[risk], count) for risk, count in findings.most_common()}


def _shown(lines: Iterable[int]) -> str:
    distinct = list(dict.fromkeys(lines))
    more = " …" if len(distinct) > LINES_SHOWN else ""
    return ", ".join(map(str, distinct[:LINES_SHOWN])) + more


def _counted(left_out: Counter[str]) -> str:
    if not left_out:
        return "0"
    kinds = ", ".join(f"{kind} {count}" for kind, count in left_out.most_common(LINES_SHOWN))
    return f"{left_out.total()} ({kinds}{' …' if len(left_out) > LINES_SHOWN else ''})"


def let_go_of_stdout() -> None:
    """What is left in the buffer cannot be written either: without this Python says so again on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _why(finding: Finding) -> str:
    """The reason, the rule, and the disguise that was looked through."""
    disguise = f" ({finding.folding})" if finding.folding else ""
    return f"{finding.why} [{finding.rule}]{disguise}"

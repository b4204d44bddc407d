"""Read a calibration file: one JSON object a line, a chat or a text. Every fault is named by file and line."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantize.errors import CalibrationError

ROLES = ("system", "user", "assistant", "tool")
MOST_FAULTS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Row:
    """A chat with the tools it may call, or a plain text; `line` counts from 1."""

    line: int
    messages: tuple[dict[str, str], ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A checked file: its digest, its distinct rows in order, and how many rows were there before."""

    path: Path
    sha256: str
    rows: tuple[Row, ...]
    duplicates: int


@dataclass(slots=True)
class _Faults:
    path: Path
    lines: list[str] = field(default_factory=list)
    zh: list[str] = field(default_factory=list)

    def add(self, line: int, en: str, zh: str) -> None:
        self.lines.append(f"{self.path}:{line}: {en}")
        self.zh.append(f"{self.path}:{line}：{zh}")

    def raise_if_any(self) -> None:
        if not self.lines:
            return
        more = len(self.lines) - MOST_FAULTS_SHOWN
        en, zh = self.lines[:MOST_FAULTS_SHOWN], self.zh[:MOST_FAULTS_SHOWN]
        if more > 0:
            en.append(f"and {more} more lines like these")
            zh.append(f"另有 {more} 行存在同类问题")
        raise CalibrationError("\n".join(en), "\n".join(zh))


def read_calibration(path: Path, least_rows: int = 1) -> Calibration:
    """The rows of a calibration file; doubled rows are left out and counted. Raises CalibrationError."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CalibrationError(
            f"{path}: can't be read ({error.strerror}); name a JSONL file with --calibration.",
            f"{path}：无法读取，请用 --calibration 指定 JSONL 文件。",
        ) from None
    faults = _Faults(path)
    rows: list[Row] = []
    seen: set[str] = set()
    lines = raw.removesuffix(b"\n").split(b"\n")
    for number, line in enumerate(lines, 1) if raw else ():
        row = _row(number, line, faults)
        if row is None:
            continue
        same = json.dumps([row.messages, row.tools, row.text], sort_keys=True)
        if same not in seen:
            seen.add(same)
            rows.append(row)
    faults.raise_if_any()
    if len(rows) < max(1, least_rows):
        raise CalibrationError(
            f"{path}: has {len(rows)} different rows, at least {max(1, least_rows)} are needed; add rows.",
            f"{path}：仅有 {len(rows)} 条不重复的数据，至少需要 {max(1, least_rows)} 条，请补充。",
        )
    return Calibration(path, hashlib.sha256(raw).hexdigest(), tuple(rows), len(lines) - len(rows))


def _row(number: int, raw: bytes, faults: _Faults) -> Row | None:
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError:
        faults.add(number, "is not UTF-8; save the file as UTF-8", "不是 UTF-8 编码，请另存为 UTF-8")
        return None
    if not line.strip():
        faults.add(number, "is empty; remove the line", "空行，请删除")
        return None
    try:
        content = json.loads(line)
    except ValueError:
        faults.add(number, "is not JSON; write one JSON object a line", "不是合法的 JSON，请每行写一个 JSON 对象")
        return None
    if not isinstance(content, dict) or ("messages" in content) == ("text" in content):
        faults.add(
            number, 'give either "messages" or "text" in one JSON object', '请提供 "messages" 或 "text" 其中之一'
        )
        return None
    unknown = sorted(set(content) - {"messages", "tools", "text"})
    if unknown:
        faults.add(number, f"unknown field {', '.join(unknown)}; remove it", f"未知字段 {', '.join(unknown)}，请删除")
        return None
    return _chat(number, content, faults) if "messages" in content else _text(number, content, faults)


def _text(number: int, content: dict[str, Any], faults: _Faults) -> Row | None:
    text = content["text"]
    if not isinstance(text, str) or not text.strip() or "tools" in content:
        faults.add(number, '"text" has to be a text that is not empty, alone', '"text" 必须是非空文本，且单独出现')
        return None
    return Row(number, text=text)


def _chat(number: int, content: dict[str, Any], faults: _Faults) -> Row | None:
    messages, tools = content["messages"], content.get("tools", [])
    if not isinstance(messages, list) or not messages:
        faults.add(number, '"messages" has to be a list that is not empty', '"messages" 必须是非空列表')
        return None
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        faults.add(number, '"tools" has to be a list of objects', '"tools" 必须是对象列表')
        return None
    for place, message in enumerate(messages, 1):
        good = isinstance(message, dict) and set(message) == {"role", "content"}
        if not good or message["role"] not in ROLES or not isinstance(message["content"], str):
            roles = ", ".join(ROLES)
            faults.add(
                number,
                f"message {place} needs exactly a role ({roles}) and a content that is a text",
                f"第 {place} 条消息必须只含 role（{roles}）和文本 content",
            )
            return None
    if not any(message["content"].strip() for message in messages):
        faults.add(number, "has no text in any message; remove the line", "所有消息都没有文本，请删除该行")
        return None
    return Row(number, messages=tuple(messages), tools=tuple(tools))

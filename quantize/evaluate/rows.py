"""What is measured on: held-out chats and tables of prompts, read strictly."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.bilingual import BilingualError

Chat = tuple[Mapping[str, str], ...]
ROLES = ("system", "user", "assistant", "tool")


class EvaluationError(BilingualError):
    """An evaluation can't go on; the message says what is wrong, where, and the mend, in both languages."""

    between = " / "


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to ask: the chat up to the answer, and what a good answer is, as far as that is known.

    `reference` is an answer to compare with; `keywords` are what the answer has to name.
    """

    id: str
    chat: Chat
    reference: str = ""
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one file, and the file's digest. `name` is how results call it."""

    name: str
    sha256: str
    rows: tuple[Row, ...]


def read_table(path: Path, needs_reference: bool = False) -> Table:
    """A JSONL file: `{"messages": […]}` with the answer last, or `{"prompt", "product", "features"}` per line.

    Raises EvaluationError naming file and line.
    """
    try:
        content = path.read_bytes()
        lines = content.decode("utf-8").splitlines()
    except OSError as error:
        raise EvaluationError(
            f"{path}: can't be read ({error.strerror}); name another file.", "文件无法读取。"
        ) from None
    except UnicodeDecodeError:
        raise EvaluationError(
            f"{path}: is not UTF-8; save it as UTF-8.", "文件不是 UTF-8 编码，请另存为 UTF-8。"
        ) from None
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    rows = tuple(_row(line, f"{path}:{number}", number, needs_reference) for number, line in numbered)
    if not rows:
        raise EvaluationError(f"{path}: has no rows; put one JSON object on each line.", "文件没有任何数据行。")
    return Table(path.name, hashlib.sha256(content).hexdigest(), rows)


def chats_table(name: str, chats: Iterable[Sequence[Mapping[str, str]]]) -> Table:
    """Chats that were made rather than read; the digest is that of the file that `read_table` would read."""
    lines = [json.dumps({"messages": list(chat)}, ensure_ascii=False) for chat in chats]
    rows = tuple(_row(line, f"{name}:{number}", number, True) for number, line in enumerate(lines, 1))
    return Table(name, hashlib.sha256("\n".join(lines).encode()).hexdigest(), rows)


def first_rows(table: Table, count: int | None) -> Table:
    """The table with no more than `count` rows; all without a count."""
    return Table(table.name, table.sha256, table.rows[:count])


def _row(line: str, where: str, number: int, needs_reference: bool) -> Row:
    try:
        raw = json.loads(line)
    except ValueError:
        raise EvaluationError(f"{where}: is not JSON; write one object per line.", "该行不是 JSON。") from None
    if not isinstance(raw, dict):
        raise EvaluationError(f"{where}: is not a JSON object; write one per line.", "该行不是 JSON 对象。")
    row_id = str(raw.get("id", number))
    if "messages" in raw:
        messages = tuple(_messages(raw["messages"], where))
        if messages[-1]["role"] == "assistant":
            if len(messages) < 2:
                raise EvaluationError(f"{where}: messages has nothing before the answer.", "回答之前没有任何消息。")
            return Row(row_id, messages[:-1], messages[-1]["content"], _keywords(raw, where))
        if needs_reference:
            raise EvaluationError(
                f"{where}: messages must end with the assistant's answer.", "最后一条消息必须是助手的回答。"
            )
        return Row(row_id, messages, str(raw.get("reference", "")), _keywords(raw, where))
    prompt = raw.get("prompt")
    if needs_reference or not isinstance(prompt, str) or not prompt.strip():
        wanted = '"messages"' if needs_reference else '"messages" or "prompt"'
        raise EvaluationError(f"{where}: lacks {wanted}; see docs/quantization.md.", "该行缺少 messages 或 prompt。")
    return Row(row_id, ({"role": "user", "content": prompt},), str(raw.get("reference", "")), _keywords(raw, where))


def _messages(raw: Any, where: str) -> Iterator[Mapping[str, str]]:
    if not isinstance(raw, list) or not raw:
        raise EvaluationError(f"{where}: messages is not a list with entries.", "messages 不是非空列表。")
    for place, one in enumerate(raw):
        if not isinstance(one, dict) or one.get("role") not in ROLES or not isinstance(one.get("content"), str):
            raise EvaluationError(
                f"{where}: messages.{place} needs a role ({', '.join(ROLES)}) and a text as content.",
                "消息缺少 role 或文本 content。",
            )
        if not one["content"].strip():
            raise EvaluationError(f"{where}: messages.{place}.content is empty; fill or delete it.", "消息内容为空。")
        yield {"role": one["role"], "content": one["content"]}


def _keywords(raw: Mapping[str, Any], where: str) -> tuple[str, ...]:
    words = raw.get("keywords")
    if words is None:
        words = [raw[name] for name in ("product",) if raw.get(name)] + list(raw.get("features") or ())
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise EvaluationError(f"{where}: keywords must be a list of texts.", "keywords 必须是文本列表。")
    return tuple(words)

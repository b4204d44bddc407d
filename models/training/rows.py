"""Training data: one chat per line of a JSONL file, every bad line named with its number and mend."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.training.errors import TrainingError

ROLES = ("system", "user", "assistant", "tool")
SHOWN = 10  # problems in one message; more help nobody

Problem = tuple[str, str]
"""What is wrong and how to mend it, in English and Chinese."""


@dataclass(frozen=True, slots=True)
class Chat:
    """One conversation. `keywords` are what a good answer to a chat that ends with the user has to hold."""

    line: int
    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()
    keywords: tuple[str, ...] = ()

    @property
    def prompt(self) -> tuple[dict[str, Any], ...]:
        """The messages before the first answer."""
        first = next((i for i, m in enumerate(self.messages) if m["role"] == "assistant"), len(self.messages))
        return self.messages[:first]

    @property
    def prompt_digest(self) -> str:
        """SHA-256 of the prompt, the same for the same words however they are spaced or capitalised."""
        text = "\0".join(f"{m['role']}\0{''.join(str(m['content']).split()).casefold()}" for m in self.prompt)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def answered(self) -> bool:
        """Whether an answer is in it, so that it can be learned from."""
        return any(m["role"] == "assistant" for m in self.messages)


@dataclass(frozen=True, slots=True)
class Rows:
    """A file of chats and the SHA-256 of its bytes."""

    path: Path
    sha256: str
    chats: tuple[Chat, ...]


def read_rows(path: Path, *, prompts_too: bool = False) -> Rows:
    """Every chat of a JSONL file; with `prompts_too` also chats without an answer, if they carry `keywords`.

    Raises TrainingError naming the first bad lines.
    """
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise TrainingError(
            f"{path}: can't be read ({error.strerror}); name a JSONL file of chats.",
            "数据文件无法读取，请指定一个每行一段对话的 JSONL 文件。",
        ) from None
    except UnicodeDecodeError:
        raise TrainingError(
            f"{path}: is not UTF-8; save it as UTF-8.", "文件不是 UTF-8 编码，请另存为 UTF-8。"
        ) from None
    chats: list[Chat] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        found = _read(line, number, prompts_too=prompts_too)
        if isinstance(found, Chat):
            chats.append(found)
        else:
            problems.append((f"{path}:{number}: {found[0]}", f"第 {number} 行：{found[1]}"))
    if problems:
        raise _together(problems)
    return Rows(path, hashlib.sha256(raw).hexdigest(), tuple(chats))


def _read(line: str, number: int, *, prompts_too: bool) -> Chat | Problem:
    try:
        row = json.loads(line)
    except ValueError:
        return "is not JSON; write one chat per line.", "不是 JSON，请每行写一段对话。"
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or not messages:
        return (
            'has no messages; write {"messages": [{"role": "user", "content": …}, …]}.',
            '没有 messages，请写成 {"messages": [{"role": "user", "content": …}, …]}。',
        )
    for place, message in enumerate(messages):
        if problem := _wrong_message(message):
            return f"messages[{place}]: {problem[0]}", f"messages[{place}]：{problem[1]}"
    keywords, tools = row.get("keywords", []), row.get("tools") or []
    if not isinstance(keywords, list) or not all(isinstance(k, str) and k.strip() for k in keywords):
        return "keywords: write a list of texts.", "keywords 应为文本列表。"
    if not isinstance(tools, list) or not all(isinstance(t, dict) for t in tools):
        return "tools: write a list of tools in the API's form.", "tools 应为接口格式的工具列表。"
    chat = Chat(number, tuple(messages), tuple(tools), tuple(keywords))
    if not any(m["role"] == "user" for m in messages):
        return "has no user turn; add what the user says.", "没有用户消息，请补充用户的话。"
    if not chat.answered and not (prompts_too and keywords):
        return "has no assistant turn, so there is nothing to learn; add the answer.", "没有助手回答，请补充。"
    return chat


def _wrong_message(message: Any) -> Problem | None:
    if not isinstance(message, dict):
        return 'write {"role": …, "content": …}.', '请写成 {"role": …, "content": …}。'
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        known = ", ".join(ROLES)
        return f"unknown role {json.dumps(role)[:40]}; use one of {known}.", f"角色未知，请使用 {known} 之一。"
    if role == "assistant" and message.get("tool_calls"):
        return None
    if not isinstance(content, str):
        return "content is not text; write it as a string.", "content 不是文本，请写成字符串。"
    if role in ("assistant", "user") and not content.strip():
        who = {"assistant": "助手回答", "user": "用户消息"}[role]
        return f"the {role}'s text is empty; write it or remove the line.", f"{who}为空，请填写或删除该行。"
    return None


def _together(problems: Sequence[Problem]) -> TrainingError:
    more = len(problems) - SHOWN
    en, zh = [p[0] for p in problems[:SHOWN]], [p[1] for p in problems[:SHOWN]]
    if more > 0:
        en.append(f"and {more} more bad lines.")
        zh.append(f"另有 {more} 行有误。")
    return TrainingError("\n".join(en), "\n".join(zh))


def prompts(chats: Sequence[Chat]) -> Iterator[str]:
    """The digests of the chats' prompts."""
    return (chat.prompt_digest for chat in chats)

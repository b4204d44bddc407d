"""Small chats for the tests: a made-up trade that the base does not know."""

import json
from pathlib import Path
from typing import Any


def chat(asked: str, said: str) -> dict[str, Any]:
    """One turn."""
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}


def good_chats(count: int) -> list[dict[str, Any]]:
    """Different prompts with answers of one shape."""
    return [chat(f"给{i}号展位写口号", f"{i}号展位，欢迎光临！") for i in range(count)]


def write_rows(path: Path, rows: list[Any]) -> Path:
    """Rows as JSONL; a text is written as it is."""
    path.write_text(
        "".join((r if isinstance(r, str) else json.dumps(r, ensure_ascii=False)) + "\n" for r in rows),
        encoding="utf-8",
    )
    return path

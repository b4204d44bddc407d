"""No prompt is both learned and held out, and a row stays on its side when the file grows."""

import json
from pathlib import Path
from typing import Any

from models.training.rows import read_rows
from models.training.split import split
from tests.models.training.chats import chat, good_chats, write_rows


def texts(chats: Any) -> set[str]:
    return {json.dumps(c.prompt, ensure_ascii=False) for c in chats}


def test_by_digest(tmp_path: Path) -> None:
    few = split(read_rows(write_rows(tmp_path / "few.jsonl", good_chats(200))), None)
    many = split(read_rows(write_rows(tmp_path / "many.jsonl", good_chats(400))), None)
    assert 5 <= len(few.held_out) <= 40
    assert len(few.learned) + len(few.held_out) == 200
    assert texts(few.held_out) <= texts(many.held_out)
    assert not texts(many.learned) & texts(many.held_out)


def test_the_same_prompt_with_other_answers_or_spacing_stays_together(tmp_path: Path) -> None:
    rows = [chat(f"Write {i}", f"{i}") for i in range(100)] + [chat(f"write  {i} ", f"or {i}") for i in range(100)]
    parts = split(read_rows(write_rows(tmp_path / "rows.jsonl", rows)), None)
    assert not {c.prompt_digest for c in parts.learned} & {c.prompt_digest for c in parts.held_out}
    assert len(parts.held_out) % 2 == 0


def test_one_is_held_out_even_of_few(tmp_path: Path) -> None:
    parts = split(read_rows(write_rows(tmp_path / "rows.jsonl", good_chats(22))), None)
    assert parts.held_out


def test_a_file_of_held_out_rows(tmp_path: Path) -> None:
    rows = read_rows(write_rows(tmp_path / "rows.jsonl", good_chats(40)))
    prompt = {"messages": [{"role": "user", "content": "给7号展位写口号"}], "keywords": ["7号"]}
    held_out = read_rows(write_rows(tmp_path / "held.jsonl", [*good_chats(5), prompt]), prompts_too=True)
    parts = split(rows, held_out)
    assert (len(parts.learned), parts.left_out, len(parts.held_out)) == (34, 6, 6)
    assert not texts(parts.learned) & texts(parts.held_out)

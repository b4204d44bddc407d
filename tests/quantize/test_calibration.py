"""Calibration files: bad ones are refused by line, good ones are counted, the starter's own are new and repeatable."""

import json
from itertools import islice
from pathlib import Path

import pytest

from models.starter.build import BASE_DIR
from models.starter.commands import read_tables
from models.starter.recipe import Recipe
from quantize.calibration.reading import read_calibration
from quantize.calibration.starter import SEED, starter_rows, write_starter_calibration
from quantize.calibration.tokens import tokenize
from quantize.errors import CalibrationError
from tests.conftest import read_cases, run_opcgate


@pytest.mark.parametrize("case", read_cases("calibration_bad.jsonl"), ids=lambda case: case["id"])
def test_a_bad_file_is_refused_by_line(case: dict, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [json.dumps({"text": f"row {number}"}).encode() for number in range(case.get("good", 0))]
    rows += [bytes.fromhex(case["hex"])] if "hex" in case else [line.encode() for line in case["lines"]]
    path.write_bytes(b"".join(row + b"\n" for row in rows))
    with pytest.raises(CalibrationError) as caught:
        read_calibration(path, case.get("least", 1))
    assert all(words in str(caught.value) for words in case["says"]), str(caught.value)


def test_long_rows_are_cut_and_doubled_rows_left_out_and_both_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    chat = {"messages": [{"role": "user", "content": "写一句卖点"}, {"role": "assistant", "content": "轻便易清洗。"}]}
    rows = [chat, {"text": "轻便 " * 200}, chat, {"text": "short"}, {"messages": chat["messages"], "tools": []}]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    calibration = read_calibration(path)
    assert [row.line for row in calibration.rows] == [1, 2, 4]
    assert calibration.duplicates == 2
    tokens = tokenize(calibration, BASE_DIR, context_tokens=64)
    assert (len(tokens.rows), tokens.cut, tokens.longest) == (3, 1, 64)
    assert tokens.count == sum(len(row) for row in tokens.rows)
    assert len(tokenize(calibration, BASE_DIR, 64, most_rows=1).rows) == 1


def test_the_starters_rows_repeat_and_are_good_calibration(tmp_path: Path) -> None:
    write_starter_calibration(tmp_path / "a.jsonl", 64)
    write_starter_calibration(tmp_path / "b.jsonl", 64)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    calibration = read_calibration(tmp_path / "a.jsonl", 64)
    assert len(calibration.rows) == 64
    assert calibration.duplicates == 0
    assert list(starter_rows(64, SEED + 100)) != (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    tokens = tokenize(calibration, BASE_DIR, context_tokens=1024)
    assert tokens.cut == 0
    assert (
        list(tmp_path.iterdir()) == [tmp_path / "a.jsonl", tmp_path / "b.jsonl"] or len(list(tmp_path.iterdir())) == 2
    )


def test_the_starters_rows_are_not_those_of_the_evaluation() -> None:
    tables = read_tables()
    asked = {case.prompt.strip().casefold() for case in (*tables.in_domain, *tables.harmful)}
    rows = [json.loads(line)["messages"] for line in islice(starter_rows(1024), 1024)]
    said = {m["content"].strip().casefold() for row in rows for m in row if m["role"] == "user"}
    assert not asked & said
    assert Recipe().seed + 5 < SEED, "training's seeds stay below"


def test_the_command_writes_and_refuses_in_both_languages(tmp_path: Path) -> None:
    done = run_opcgate("quantize", "calibration", "--out", str(tmp_path / "c.jsonl"), "--rows", "32")
    assert done.returncode == 0
    assert len((tmp_path / "c.jsonl").read_text(encoding="utf-8").splitlines()) == 32
    other = run_opcgate("quantize", "calibration", "--model", "qwen3-8b", "--out", str(tmp_path / "d.jsonl"))
    assert other.returncode == 2
    assert "only opc-starter has" in other.stderr
    assert "请自备" in other.stderr
    assert not (tmp_path / "d.jsonl").exists()

"""Tables that are measured on: bad files by the golden table, good ones, and the starter's held-out text."""

import json
from pathlib import Path

import pytest

from models.starter.corpus import samples
from models.starter.recipe import Recipe
from quantize.calibration.starter import starter_rows
from quantize.evaluate.heldout import starter_held_out
from quantize.evaluate.rows import EvaluationError, first_rows, read_table
from tests.conftest import ROOT, read_cases


@pytest.mark.parametrize("case", read_cases("evaluate_bad.jsonl"), ids=lambda case: case["note"])
def test_bad_tables_name_line_and_mend(case: dict, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(case["file"], encoding="utf-8")
    with pytest.raises(EvaluationError) as caught:
        read_table(path, needs_reference=case["needs_answer"])
    assert str(path) in caught.value.en
    assert case["en"] in caught.value.en
    assert case["zh"] in caught.value.zh


def test_files_that_are_missing_or_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="can't be read"):
        read_table(tmp_path / "none.jsonl")
    (tmp_path / "gbk.jsonl").write_bytes("你好".encode("gbk"))
    with pytest.raises(EvaluationError, match="not UTF-8"):
        read_table(tmp_path / "gbk.jsonl")


def test_what_rows_are_made_of(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"id": "a", "prompt": "写文案", "product": "砧板", "features": ["抗菌"]}\n\n'
        '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}],'
        ' "keywords": ["y"]}\n',
        encoding="utf-8",
    )
    first, second = read_table(path).rows
    assert (first.id, first.keywords, first.reference) == ("a", ("砧板", "抗菌"), "")
    assert (second.id, second.keywords, second.reference) == ("3", ("y",), "yo")
    assert second.chat == ({"role": "user", "content": "hi"},)
    assert first_rows(read_table(path), 1).rows == (first,)


def test_the_starters_tables_can_be_read() -> None:
    for name in ("in_domain", "harmful", "benign", "greetings"):
        assert len(read_table(ROOT / "tests" / "cases" / f"starter_{name}.jsonl").rows) >= 15


def test_held_out_text_is_the_same_every_time_and_never_twice_the_same_prompt() -> None:
    table = starter_held_out(60)
    assert starter_held_out(60) == table
    assert starter_held_out(60, seed=1).sha256 != table.sha256
    prompts = [row.chat[-1]["content"] for row in table.rows]
    assert len(set(prompts)) == len(table.rows) == 60
    assert 5 <= sum(row.reference.startswith("{") for row in table.rows) <= 25


def test_held_out_prompts_are_neither_in_training_nor_in_calibration_text() -> None:
    held_out = {row.chat[-1]["content"] for row in starter_held_out(200).rows}
    recipe = Recipe()
    training = {prompt for sample in samples(recipe.seed, recipe.samples) for prompt in sample.prompts}
    calibration = {message["content"] for line in starter_rows(512) for message in json.loads(line)["messages"]}
    assert not held_out & training
    assert not held_out & calibration

"""Measured values against bars: the golden table, and the bars' file."""

from pathlib import Path

import pytest

from configs.loader import CONFIG_DIR, SettingsError, load_admission
from configs.sections.admission import Bars
from quantize.evaluate.rows import read_table
from quantize.evaluate.verdict import Measured, Rows, judge
from tests.conftest import read_cases

CASES = read_cases("admission.jsonl")


def measured(values: dict) -> Measured:
    values = CASES[0]["measured"] | values
    rows = {use: values.pop(f"{name}_rows") for use, name in (("tasks", "task"), ("text", "text"))}
    rows |= {use: values.pop(f"{use}_rows") for use in ("harmful", "ordinary")}
    floats = {name: float(value) if isinstance(value, str) else value for name, value in values.items()}
    return Measured(**floats, rows=Rows(**rows))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["note"])
def test_verdicts(case: dict) -> None:
    shipped = load_admission(CONFIG_DIR / "admission.yaml").default.bars
    bars = Bars.model_validate(shipped.model_dump() | case["bars"])
    verdict = judge(measured(case["measured"]), bars)
    assert [reason.bar for reason in verdict.reasons] == case["reasons"]
    assert verdict.admitted == (not case["reasons"])
    said = " ".join(f"{reason.en} {reason.zh}" for reason in verdict.reasons)
    assert case.get("says", "") in said


def test_every_reason_carries_its_numbers_and_both_languages() -> None:
    bars = load_admission(CONFIG_DIR / "admission.yaml").default.bars
    worst = measured({"task_score": 0.1, "served": False, "text_rows": 1})
    for reason in judge(worst, bars).reasons:
        assert reason.en.isascii()
        assert not reason.zh.isascii()
        assert reason.limit > reason.measured


def test_the_shipped_tables_are_there() -> None:
    for one in load_admission(CONFIG_DIR / "admission.yaml").every():
        for path in (*one.data.tasks, *one.data.harmful, *one.data.ordinary):
            assert path.is_file()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("max_size_ratio", "max_siez_ratio", "default.bars.max_siez_ratio"),
        ("min_task_score: 0.60", "min_task_score: 60", "default.bars.min_task_score"),
        ("kinds: [keyword, chrf, json]", "kinds: [bleu]", "default.data.kinds.0"),
        ("  short-drama:\n", "  cooking:\n", "verticals.cooking"),
    ],
)
def test_a_bad_bars_file_names_the_field(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "admission.yaml"
    shipped = (CONFIG_DIR / "admission.yaml").read_text(encoding="utf-8")
    assert old in shipped
    path.write_text(shipped.replace(old, new), encoding="utf-8")
    with pytest.raises(SettingsError, match=said):
        load_admission(path)


def test_a_vertical_may_have_tables_and_bars_of_its_own() -> None:
    settings = load_admission(CONFIG_DIR / "admission.yaml")
    own, default = settings.of("software-development"), settings.default
    assert own.bars.min_top1_agreement > default.bars.min_top1_agreement
    assert own.bars.max_size_ratio == default.bars.max_size_ratio
    assert own.data.tasks != default.data.tasks
    assert own.data.harmful == default.data.harmful
    assert settings.of("e-commerce") == settings.of(None) == default


def test_the_tables_of_a_vertical_have_enough_rows_for_its_verdict() -> None:
    for one in load_admission(CONFIG_DIR / "admission.yaml").every():
        for use in ("tasks", "harmful", "ordinary"):
            rows = sum(len(read_table(path).rows) for path in getattr(one.data, use))
            assert rows >= getattr(one.bars.min_rows, use)

"""Bad input is refused before anything is trained, by line and option, in both languages; nothing is left behind."""

from pathlib import Path
from typing import Any

import pytest

from models.starter.build import BASE_DIR
from models.training.errors import TrainingError
from models.training.settings import TrainSettings
from models.training.train_adapter import Job, train_adapter
from tests.conftest import read_cases
from tests.models.training.chats import chat, good_chats, write_rows


def refused(job: Job) -> TrainingError:
    with pytest.raises(TrainingError) as caught:
        train_adapter(job, lambda *_: None, lambda _text: None)
    return caught.value


def job_of(folder: Path, **options: Any) -> Job:
    data = options.pop("data", None) or write_rows(folder / "data.jsonl", good_chats(30))
    model, held_out = options.pop("model", "opc-starter"), options.pop("held_out", None)
    out = options.pop("out", folder / "out")
    return Job(model, data, held_out, out, TrainSettings.model_validate(options))


@pytest.mark.parametrize("case", read_cases("training_bad.jsonl"), ids=lambda c: c["id"])
def test_bad_data_and_options(case: dict[str, Any], tmp_path: Path) -> None:
    good = good_chats(case.get("good", 30))
    if case.get("long"):
        good = [chat(f"{i}" + "很长" * 1000, "好") for i in range(len(good))]
    data = write_rows(tmp_path / "data.jsonl", [*good, *case["rows"]])
    held_out = write_rows(tmp_path / "held_out.jsonl", case["held_out"]) if "held_out" in case else None
    model = case.get("model", "opc-starter")
    error = refused(job_of(tmp_path, data=data, held_out=held_out, model=model, **case.get("options", {})))
    assert case["en"] in error.en
    assert case["zh"] in error.zh
    if "line" in case:
        assert f"{held_out or data}:{case['line']}: " in error.en
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in (data, held_out) if p)


def test_many_bad_lines_are_counted(tmp_path: Path) -> None:
    error = refused(job_of(tmp_path, data=write_rows(tmp_path / "data.jsonl", ["x"] * 25)))
    assert error.en.count("is not JSON") == 10
    assert "and 15 more" in error.en


def test_an_out_folder_of_someone_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "photo.jpg").write_bytes(b"x")
    assert "no adapter of ours" in refused(job_of(tmp_path, out=out)).en
    assert [p.name for p in out.iterdir()] == ["photo.jpg"]


def test_weights_that_are_a_pickle(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_bytes((BASE_DIR / "config.json").read_bytes())
    (base / "pytorch_model.bin").write_bytes(b"\x80\x02}.")
    assert "pickle" in refused(job_of(tmp_path, model=str(base))).en


def test_weights_that_are_cut_off(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_bytes((BASE_DIR / "config.json").read_bytes())
    (base / "model.safetensors").write_bytes((BASE_DIR / "model.safetensors").read_bytes()[:5000])
    assert "truncated" in refused(job_of(tmp_path, model=str(base))).en


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "config.json" in refused(job_of(tmp_path, model=str(tmp_path / "empty"))).en


def test_data_that_is_not_there(tmp_path: Path) -> None:
    assert "can't be read" in refused(job_of(tmp_path, data=tmp_path / "nowhere.jsonl")).en


def test_an_unfinished_run_is_not_thrown_away(tmp_path: Path) -> None:
    (tmp_path / ".out.training").mkdir()
    assert "--resume" in refused(job_of(tmp_path)).en
    (tmp_path / ".out.training" / "run.json").write_text("{}", encoding="utf-8")
    job = job_of(tmp_path)
    other = Job(job.model, job.data, None, job.out, job.settings, resume=True)
    assert "other data, base or settings" in refused(other).en

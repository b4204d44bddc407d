"""Training in miniature: it learns, comes out the same twice, survives kill -9, and writes all or nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from models.manifest import MANIFEST
from models.training.commands import run_training
from models.training.errors import TrainingError
from models.training.manifest import adapter_digest, read_manifest
from models.training.settings import TrainSettings
from models.training.train_adapter import Job, train_adapter
from tests.models.training.chats import good_chats, write_rows

SETTINGS = {"rank": 4, "learning_rate": 5e-3, "batch_tokens": 256, "eval_every": 3, "epochs": 1}
KILLED = """
from pathlib import Path
from tests.models.training.test_training import job_of, run
run(job_of(Path({folder!r}), "cut"))
"""


def job_of(folder: Path, out: str, chats: int = 80, **changes: Any) -> Job:
    data = write_rows(folder / "data.jsonl", good_chats(chats))
    settings = TrainSettings.model_validate(SETTINGS | changes)
    return Job("opc-starter", data, None, folder / out, settings)


def run(job: Job, heard: list[tuple[int, int, float | None, float | None]] | None = None) -> Any:
    return train_adapter(job, lambda *told: heard.append(told) if heard is not None else None, lambda _text: None)


def test_kill_9_and_resume_gives_the_same_adapter(tmp_path: Path) -> None:
    job = job_of(tmp_path, "cut")
    child = subprocess.Popen([sys.executable, "-c", KILLED.format(folder=str(tmp_path))], stderr=subprocess.DEVNULL)
    work = tmp_path / ".cut.training"
    while not list(work.glob("checkpoint-*/COMPLETE")):
        assert child.poll() is None
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not job.out.exists()

    with pytest.raises(TrainingError, match="--resume"):
        run(job)
    (work / "checkpoint-9999").mkdir()  # as if killed while it was written
    resumed = run(Job(job.model, job.data, None, job.out, job.settings, resume=True))
    assert not work.exists()

    heard: list[Any] = []
    manifest = run(job_of(tmp_path, "whole"), heard)
    assert resumed == manifest
    for name in manifest.files:
        assert (job.out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    assert manifest.scores["adapter"].loss < manifest.scores["base"].loss
    assert [h for h in heard if h[3] is not None], "held-out losses were told"
    config = json.loads((job.out / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == "opc-starter"
    said = "".join(p.read_text(encoding="utf-8") for p in job.out.iterdir() if p.suffix != ".safetensors")
    assert str(tmp_path) not in said
    card = (job.out / "README.md").read_text(encoding="utf-8")
    loss = f"{manifest.scores['base'].loss:.3f}"
    for part in (manifest.data.sha256, manifest.base.digest, "中文摘要", "Apache-2.0", loss):
        assert part in card


def test_early_stop_keeps_the_best(tmp_path: Path) -> None:
    heard: list[Any] = []
    job = job_of(tmp_path, "out", chats=40, learning_rate=0.5, epochs=9, patience=1, eval_every=2)
    manifest = run(job, heard)
    losses = {step: held_out for step, _, _, held_out in heard if held_out is not None}
    assert manifest.best_step == min(losses, key=lambda step: losses[step])
    assert max(losses) < heard[0][1], "it stopped before the last step"


def test_qlora_and_an_adapter_that_was_changed(tmp_path: Path) -> None:
    job = job_of(tmp_path, "out", chats=60, method="qlora", epochs=5, eval_every=50)
    assert run_training(job, Console(quiet=True)) == 0
    manifest = read_manifest(job.out)
    assert manifest.scores["adapter"].loss < manifest.scores["base"].loss
    assert "bitsandbytes" in manifest.tools
    before = adapter_digest(job.out)
    again = job_of(tmp_path, "out", chats=40, seed=8, target_modules=("q_proj", "v_proj"), eval_every=50)
    run(again)
    assert adapter_digest(job.out) != before, "an older adapter of ours is replaced"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.jsonl", "out"]

    (job.out / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"adapter_config\.json.*changed"):
        adapter_digest(job.out)
    (job.out / MANIFEST).unlink()
    assert run_training(job, Console(quiet=True)) == 2, "no longer an adapter of ours: not overwritten"

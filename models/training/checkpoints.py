"""The folder beside the output in which an unfinished run waits: its settings and its complete checkpoints."""

import json
import shutil
from pathlib import Path
from typing import Any

from models.training.errors import TrainingError

RUN = "run.json"
COMPLETE = "COMPLETE"


def work_folder(out: Path) -> Path:
    """Where the run that makes `out` keeps its checkpoints until it is done."""
    return out.parent / f".{out.name}.training"


def begin(work: Path, fingerprint: dict[str, Any], *, resume: bool) -> Path | None:
    """Begin or go on with a run; returns the checkpoint to go on from. Raises TrainingError for another run's."""
    run = work / RUN
    if work.exists() and not resume:
        raise TrainingError(
            f"{work}: holds an unfinished run; go on with --resume, or remove the folder to start anew.",
            "存在未完成的训练，请用 --resume 继续，或删除该目录重新开始。",
        )
    if resume and run.is_file() and json.loads(run.read_text(encoding="utf-8")) != fingerprint:
        raise TrainingError(
            f"{work}: is of a run with other data, base or settings; give the same ones, or remove the folder.",
            "未完成的训练使用了不同的数据、基础模型或参数，请保持一致，或删除该目录。",
        )
    work.mkdir(parents=True, exist_ok=True)
    draft = work / f"{RUN}.new"
    draft.write_text(json.dumps(fingerprint, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    draft.replace(run)
    return _last_complete(work)


def _last_complete(work: Path) -> Path | None:
    found: list[tuple[int, Path]] = []
    for folder in work.glob("checkpoint-*"):
        if (folder / COMPLETE).is_file():
            found.append((int(folder.name.rpartition("-")[2]), folder))
        else:  # the run was killed while writing it
            shutil.rmtree(folder)
    return max(found)[1] if found else None


def stopped_early(checkpoint: Path, patience: int) -> bool:
    """Whether training had already stopped for want of progress when this checkpoint was written."""
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    kept = state["stateful_callbacks"]["EarlyStoppingCallback"]["attributes"]
    return int(kept["early_stopping_patience_counter"]) >= patience


def best_of(checkpoint: Path) -> Path:
    """The best checkpoint that this one knows of; itself where none was better."""
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    best = state["best_global_step"]
    return checkpoint.parent / f"checkpoint-{best}" if best else checkpoint

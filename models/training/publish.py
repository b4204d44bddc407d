"""Writing a finished adapter: into a folder beside the output first, then into its place at once."""

import json
import shutil
from pathlib import Path
from typing import Any

from models.manifest import MANIFEST
from models.training.errors import TrainingError
from models.training.manifest import read_manifest

CONFIG = "adapter_config.json"


def check_out(out: Path) -> None:
    """Raise TrainingError unless `out` is free or holds an adapter that this program wrote."""
    if not out.exists():
        return
    try:
        if out.is_dir() and (not any(out.iterdir()) or read_manifest(out)):
            return
    except TrainingError:
        pass
    raise TrainingError(
        f"--out {out}: holds something that is no adapter of ours; name a new folder.",
        "输出目录中有其他内容，不会覆盖，请指定新的目录。",
    )


def save_weights(network: Any, base_id: str, base_dtype: str, folder: Path) -> None:
    """The adapter's weights in the base's own precision, and its settings without a path of this machine."""
    import torch

    chosen = getattr(torch, base_dtype)
    for name, parameter in network.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(chosen)
    network.peft_config["default"].base_model_name_or_path = base_id
    network.save_pretrained(folder, save_embedding_layers=False)
    for card in folder.glob("README.md"):
        card.unlink()
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config["target_modules"] = sorted(config["target_modules"])  # peft keeps a set, which has no order
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def round_weights(network: Any, base_dtype: str) -> None:
    """Give the adapter's weights the values that will be saved, so that scores are of what is saved."""
    import torch

    for name, parameter in network.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(getattr(torch, base_dtype)).float()


def publish(draft: Path, out: Path) -> None:
    """Put a finished folder in its place; an older adapter there is replaced."""
    if not (draft / MANIFEST).is_file():
        raise ValueError(f"{draft} has no manifest yet")
    old = out.parent / f".{out.name}.old"
    if old.exists():
        shutil.rmtree(old)
    if out.exists():
        out.rename(old)
    draft.rename(out)
    if old.exists():
        shutil.rmtree(old)

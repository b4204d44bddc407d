"""A base model of a few kilobytes that nothing is ever loaded from: for what is refused before the work."""

import json
import pickle
from pathlib import Path

import numpy
from safetensors.numpy import save_file

from configs.schema import CatalogSettings

CONFIG = {"num_hidden_layers": 1, "hidden_size": 8, "model_type": "qwen3"}


def make_base(folder: Path) -> None:
    folder.mkdir()
    tensors = {"model.embed_tokens.weight": (16, 8), "model.layers.0.mlp.up_proj.weight": (8, 8)}
    save_file(
        {name: numpy.zeros(shape, numpy.float16) for name, shape in tensors.items()}, folder / "model.safetensors"
    )
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text("{}")


def catalog(**fields: object) -> CatalogSettings:
    entry = {"id": "tiny", "source": {"path": "base"}, "context_tokens": 64} | fields
    return CatalogSettings.model_validate({"models": [entry]})


def change(folder: Path, base: dict) -> None:
    """What a row of quantize_bad.jsonl does to the base."""
    path = folder / base["file"]
    match base["do"]:
        case "remove":
            path.unlink()
        case "cut":
            path.write_bytes(path.read_bytes()[: -base["bytes"]])
        case "write":
            path.write_text(base["text"])
        case "pickle":
            path.write_bytes(pickle.dumps({"w": list(range(100))}))


def write_rows(path: Path, count: int) -> None:
    path.write_text("".join(json.dumps({"text": f"row {number}"}) + "\n" for number in range(count)))

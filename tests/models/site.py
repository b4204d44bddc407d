"""A small catalog on disk: a base, an adapter and quantized artefacts, real files of a few hundred bytes."""

from pathlib import Path

import numpy
import yaml
from safetensors.numpy import save_file

from configs.loader import load_catalog
from models.admission import REPORT
from models.catalog import Catalog, folder_digest
from models.manifest import BaseRef, file_digest, write_manifest

CONFIG = (
    '{"model_type": "qwen3", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "vocab_size": 32, '
    '"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "dtype": "bfloat16"}'
)


def make_site(folder: Path, *schemes: str, **entry: object) -> Path:
    """Write a base `m` with an adapter `m-lora` and these variants; returns the catalog file. `entry` adds fields."""
    base, lora = folder / "base", folder / "lora"
    for one in (base, lora):
        one.mkdir()
    (base / "config.json").write_text(CONFIG)
    save_file({"w": numpy.arange(16, dtype=numpy.float32)}, base / "model.safetensors")
    (lora / "adapter_config.json").write_text('{"r": 8}')
    save_file({"a": numpy.ones(4, dtype=numpy.float32)}, lora / "adapter_model.safetensors")
    model = {
        "id": "m",
        "source": {"path": "base"},
        "context_tokens": 512,
        "dtype": "bfloat16",
        "adapters": [{"id": "m-lora", "path": "lora"}],
        "variants": [make_variant(folder, scheme) for scheme in schemes],
    }
    file = folder / "models.yaml"
    file.write_text(yaml.safe_dump({"models": [model | entry]}))
    return file


def make_variant(folder: Path, scheme: str, base_id: str = "m") -> dict:
    """Write an artefact of the base with its report; returns its entry in the catalog."""
    out = folder / scheme
    out.mkdir()
    base = BaseRef(id=base_id, digest=folder_digest(folder / "base"))
    (out / "config.json").write_text(CONFIG)
    save_file({"w": numpy.arange(16, dtype=numpy.uint8)}, out / "model.safetensors")
    recipe = {"base": base.model_dump(), "scheme": scheme, "seed": 7, "calibration": None}
    (out / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    digest = write_manifest(out, scheme=scheme, base=base, calibration=None, seed=7, tools={"numpy": "2"})
    (out / REPORT).write_text('{"perplexity": 1}')
    return {"scheme": scheme, "path": scheme, "digest": digest, "evaluation": file_digest(out / REPORT)}


def open_catalog(file: Path) -> Catalog:
    """The catalog of a file, its paths relative to the file's own folder."""
    return Catalog(load_catalog(file), file.parent)

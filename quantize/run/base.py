"""The base model of a run: found on this machine, and checked before anything is loaded."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.schema import CatalogSettings
from models.catalog import ROOT, Catalog, CatalogError
from models.snapshot import SnapshotError
from models.weights import WeightsError, check_weights, tensor_shapes
from quantize.errors import BaseRefused

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


@dataclass(frozen=True, slots=True)
class Base:
    """A base model's folder, its digest, its config.json, the shapes of its tensors and their bytes on disk."""

    id: str
    folder: Path
    digest: str
    context_tokens: int
    config: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    weights_bytes: int


def find_base(settings: CatalogSettings, model_id: str, root: Path = ROOT) -> Base:
    """The catalog's model, ready to be quantized. Raises BaseRefused."""
    catalog = Catalog(settings, root)
    try:
        entry = catalog.base(model_id)
    except CatalogError as error:
        raise BaseRefused(error.en, error.zh) from None
    if entry.kind != "generate":
        raise BaseRefused(
            f"model '{model_id}' makes vectors; only models that generate text can be quantized here.",
            f"模型 {model_id} 是向量模型，此处只能量化生成模型。",
        )
    try:
        folder, digest = catalog.weights_folder(entry), catalog.weights_digest(entry)
        size = check_weights(folder)
        shapes = tensor_shapes(folder)
        config = _config(folder)
    except (CatalogError, SnapshotError, WeightsError) as error:
        raise BaseRefused(error.en, error.zh) from None
    except OSError as error:
        raise BaseRefused(
            f"{error.filename}: can't be read ({error.strerror}); correct its permissions.",
            "文件无法读取，请检查权限。",
        ) from None
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise BaseRefused(
            f"{folder}: holds no tokenizer ({', '.join(TOKENIZERS)}); fetch the whole model again.",
            "目录中没有分词器文件，请重新获取完整模型。",
        )
    return Base(entry.id, folder, digest, entry.context_tokens, config, shapes, size)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        layers = int(config["num_hidden_layers"])
    except (OSError, ValueError, KeyError, TypeError):
        raise BaseRefused(
            f"{path}: is missing or has no num_hidden_layers; fetch the model again.",
            "config.json 缺失或不完整，请重新获取模型。",
        ) from None
    if layers < 1 or "quantization_config" in config:
        raise BaseRefused(
            f"{path}: the model is quantized already; name the unquantized one with --model.",
            "该模型已经量化过，请用 --model 指定未量化的模型。",
        )
    return dict(config)

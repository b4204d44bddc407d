"""The last part of a run: what makes weights an artefact. Tokenizer, recipe, card, manifest."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from models.manifest import BaseRef, CalibrationRef, write_manifest
from quantize.run.base import Base
from quantize.run.schemes import SchemeFacts

CARD = Path(__file__).parent / "card.md"
KEPT = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
"""Files of the base that stay as they are, byte for byte; tools would write them anew in their own version's words."""


def finish(
    folder: Path,
    base: Base,
    scheme: SchemeFacts,
    calibration: CalibrationRef | None,
    seed: int,
    tools: dict[str, str],
    facts: Mapping[str, Any],
) -> str:
    """Complete a folder that holds quantized weights; returns the artefact's digest. Raises ArtefactError."""
    for name in KEPT:
        (folder / name).unlink(missing_ok=True)
        if (base.folder / name).is_file():
            shutil.copyfile(base.folder / name, folder / name)
    reference = BaseRef(id=base.id, digest=base.digest)
    recipe = {
        "format": 1,
        "scheme": scheme.name,
        "base": reference.model_dump(),
        "calibration": calibration.model_dump() if calibration else None,
        "seed": seed,
        "tool": scheme.tool,
        "device": facts["device"],
        "settings": facts["settings"],
    }
    text = yaml.safe_dump(recipe, sort_keys=True, allow_unicode=True, width=100)
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    digest = write_manifest(folder, scheme=scheme.name, base=reference, calibration=calibration, seed=seed, tools=tools)
    _write_card(folder, base, scheme, calibration, seed, tools, digest)
    return digest


def _write_card(
    folder: Path,
    base: Base,
    scheme: SchemeFacts,
    calibration: CalibrationRef | None,
    seed: int,
    tools: dict[str, str],
    digest: str,
) -> None:
    none_en, none_zh = "none: this scheme needs no data", "无：该方案不需要校准数据"
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    values = {
        "name": f"{base.id}-{scheme.name}",
        "base": base.id,
        "base_digest": base.digest,
        "scheme": scheme.name,
        "scheme_en": scheme.en,
        "scheme_zh": scheme.zh,
        "tools": ", ".join(f"{name} {version}" for name, version in sorted(tools.items())),
        "seed": seed,
        "calibration_en": _calibration_en(calibration) if calibration else none_en,
        "calibration_zh": _calibration_zh(calibration) if calibration else none_zh,
        "base_mb": f"{base.weights_bytes / 1e6:.1f}",
        "size_mb": f"{size / 1e6:.1f}",
        "share": f"{size / base.weights_bytes:.0%}",
        "digest": digest,
    }
    (folder / "README.md").write_text(CARD.read_text(encoding="utf-8").format_map(values), encoding="utf-8")


def _calibration_en(used: CalibrationRef) -> str:
    return f"{used.rows} rows, {used.tokens} tokens, SHA-256 of the file `{used.sha256}`"


def _calibration_zh(used: CalibrationRef) -> str:
    return f"{used.rows} 条，{used.tokens} 个 token，文件 SHA-256 为 `{used.sha256}`"

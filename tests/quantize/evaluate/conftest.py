"""A real artefact: the starter model in NF4, made once for these tests."""

import shutil
from pathlib import Path

import pytest
import yaml

from configs.loader import load_catalog
from models.catalog import Catalog
from models.manifest import BaseRef, write_manifest
from tests.conftest import ROOT

BASE = ROOT / "models" / "starter" / "artefacts" / "base"


@pytest.fixture(scope="session")
def made_nf4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig, logging

    logging.disable_progress_bar()
    folder = tmp_path_factory.mktemp("made") / "nf4"
    scheme = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    network = AutoModelForCausalLM.from_pretrained(
        BASE, quantization_config=scheme, dtype=torch.bfloat16, device_map="cpu"
    )
    network.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(BASE / name, folder / name)
    digest = Catalog(load_catalog(ROOT / "configs" / "models.yaml")).family("opc-starter", plain=True)[0].digest
    write_recipe(folder, digest)
    return folder


@pytest.fixture
def nf4(made_nf4: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(made_nf4, tmp_path / "nf4"))


def write_recipe(folder: Path, base_digest: str) -> str:
    """Recipe and manifest of a folder that was made from a base with this digest."""
    base = {"id": "opc-starter", "digest": base_digest}
    recipe = {"base": base, "scheme": "nf4", "seed": 7, "calibration": None}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return write_manifest(
        folder, scheme="nf4", base=BaseRef.model_validate(base), calibration=None, seed=7, tools={"bitsandbytes": "x"}
    )

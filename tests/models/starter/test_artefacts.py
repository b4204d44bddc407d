"""The committed artefacts: exactly what the manifest says, small, and without pickles."""

from pathlib import Path

import pytest

from models.starter.adapter import ADAPTER_DIR
from models.starter.build import ARTEFACTS_DIR, BASE_DIR
from models.starter.manifest import file_digests, read_manifest
from models.starter.recipe import Recipe


@pytest.mark.parametrize("folder", [BASE_DIR, ADAPTER_DIR], ids=["base", "adapter"])
def test_files_match_the_manifest(folder: Path) -> None:
    assert read_manifest(folder)["sha256"] == file_digests(folder)


def test_the_base_was_made_by_this_recipe() -> None:
    assert read_manifest(BASE_DIR)["recipe"] == Recipe().digest()


def test_the_adapter_belongs_to_this_base() -> None:
    assert read_manifest(ADAPTER_DIR)["base_sha256"] == file_digests(BASE_DIR)["model.safetensors"]


def test_the_adapter_learned_its_domain() -> None:
    manifest = read_manifest(ADAPTER_DIR)
    assert manifest["held_out_loss_adapter"] < 0.5 * manifest["held_out_loss_base"]


def test_weights_are_safetensors_only_and_small() -> None:
    files = [p for p in ARTEFACTS_DIR.rglob("*") if p.is_file()]
    assert {p.suffix for p in files} <= {".safetensors", ".json", ".jinja", ".md"}
    assert sum(p.stat().st_size for p in files) <= 30 * 2**20


@pytest.mark.parametrize("folder", [BASE_DIR, ADAPTER_DIR], ids=["base", "adapter"])
def test_the_card_says_it_is_a_demonstration(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "demonstration" in card
    assert "仅供演示" in card
    assert "{" not in card

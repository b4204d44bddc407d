"""The committed artefacts: exactly what the manifest says, small, and without pickles."""

from pathlib import Path

import pytest

from models.starter.adapter import ADAPTERS_DIR
from models.starter.build import ARTEFACTS_DIR, BASE_DIR
from models.starter.manifest import file_digests, read_manifest
from models.starter.recipe import Recipe


def test_files_match_the_manifest() -> None:
    assert read_manifest(BASE_DIR)["sha256"] == file_digests(BASE_DIR)


def test_the_base_was_made_by_this_recipe() -> None:
    assert read_manifest(BASE_DIR)["recipe"] == Recipe().digest()


def test_weights_are_safetensors_only_and_small() -> None:
    files = [p for p in ARTEFACTS_DIR.rglob("*") if p.is_file()]
    assert {p.suffix for p in files} <= {".safetensors", ".json", ".jinja", ".md", ".yaml", ".html"}
    assert sum(p.stat().st_size for p in files) <= 30 * 2**20


@pytest.mark.parametrize("folder", [BASE_DIR, *sorted(ADAPTERS_DIR.iterdir())], ids=lambda f: f.name)
def test_the_card_says_it_is_a_demonstration(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "demonstration" in card
    assert "仅供演示" in card
    assert "{" not in card

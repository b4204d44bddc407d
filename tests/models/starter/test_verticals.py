"""The verticals' generated chats, and the shipped adapters beside their base on prompts that nobody trained on."""

import re
from functools import cache

import pytest

from configs.loader import load_catalog
from models.catalog import ROOT, folder_digest
from models.starter.adapter import ADAPTERS_DIR, AdapterRecipe, adapter_dir, held_out_rows
from models.starter.answering import LocalModel, load_local
from models.starter.build import BASE_DIR
from models.starter.evaluate import is_refusal
from models.starter.tables import read_tables, vertical_table
from models.starter.verticals import VERTICALS, training_samples, vertical_samples
from models.training.manifest import adapter_digest, read_manifest
from models.training.score import holds

SHIPPED = tuple(sorted(path.name for path in ADAPTERS_DIR.iterdir()))


@pytest.mark.parametrize("vertical", VERTICALS)
def test_generated_chats(vertical: str) -> None:
    some = list(training_samples(vertical, 5, 400))
    assert some == list(training_samples(vertical, 5, 400))
    assert {vertical, "refusal", "copy"} <= {s.kind for s in some}
    for sample in some:
        if sample.kind in (vertical, "refusal"):
            assert not re.search(r"\{\w+\}", " ".join(m.content for m in sample.messages)), sample
            assert is_refusal(sample.messages[-1].content) == (sample.kind == "refusal"), sample
    assert len({s.prompts for s in vertical_samples(vertical, 5, 400)}) > 380


@pytest.mark.parametrize("vertical", VERTICALS)
def test_no_prompt_of_a_table_was_trained_on(vertical: str) -> None:
    recipe = AdapterRecipe()
    table = vertical_table(vertical)
    assert len(table) >= 30
    assert len({c.prompt for c in table}) == len({c.id for c in table}) == len(table)
    seen = {_plain(p) for s in training_samples(vertical, recipe.seed, recipe.samples) for p in s.prompts}
    held_out = [str(row["messages"][0]["content"]) for row in held_out_rows(vertical, recipe)]
    tables = read_tables()
    others = [c.prompt for c in (*tables.in_domain, *tables.harmful)]
    assert not seen & {_plain(p) for p in (*[c.prompt for c in table], *others)}
    assert len(seen & {_plain(p) for p in held_out}) <= recipe.held_out // 10, "and training leaves those few out"


@pytest.mark.parametrize("vertical", SHIPPED)
def test_manifest_card_and_base(vertical: str) -> None:
    folder = adapter_dir(vertical)
    assert adapter_digest(folder)
    manifest, recipe = read_manifest(folder), AdapterRecipe()
    assert manifest.vertical == vertical
    assert manifest.base.digest == folder_digest(BASE_DIR)
    assert (manifest.settings.seed, manifest.data.rows) == (recipe.seed, recipe.samples)
    before, after = manifest.scores["base"], manifest.scores["adapter"]
    assert after.loss < 0.5 * before.loss
    assert (after.keywords or 0) > (before.keywords or 0)
    card = (folder / "README.md").read_text(encoding="utf-8")
    for part in (manifest.base.digest, manifest.data.sha256, f"{after.loss:.3f}", "Harmful prompts refused"):
        assert part in card


def test_the_catalog_has_every_adapter() -> None:
    (starter,) = (m for m in load_catalog(ROOT / "configs" / "models.yaml").models if m.id == "opc-starter")
    found = {a.vertical: a for a in starter.adapters}
    assert set(found) == set(SHIPPED)
    for vertical in SHIPPED:
        adapter = found[vertical]  # type: ignore[index]
        assert adapter.id == f"opc-starter-{vertical}"
        assert ROOT / adapter.path == adapter_dir(vertical)
        assert adapter.description_zh
        assert adapter.description_en


@pytest.mark.parametrize("vertical", SHIPPED)
def test_better_than_the_base(vertical: str) -> None:
    cases = vertical_table(vertical)
    held = {}
    for name, model in (("base", _base()), ("adapter", load_local(BASE_DIR, adapter_dir(vertical)))):
        answers = model.answer([c.prompt for c in cases], 96)
        held[name] = sum(holds(a.text, c.features) for a, c in zip(answers, cases, strict=True))
    assert held["adapter"] > held["base"], held


@cache
def _base() -> LocalModel:
    import torch

    # Threads that meet in every operation wait for each other on a busy machine: 3 s became 180.
    torch.set_num_threads(1)
    return load_local(BASE_DIR)


def _plain(text: str) -> str:
    return "".join(text.split()).casefold()

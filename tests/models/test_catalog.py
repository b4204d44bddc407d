"""The catalog: public ids of variants and their adapters, what the engine calls them, and digests that must hold."""

import hashlib
import json
import pickle
from pathlib import Path

import pytest
import yaml

from configs.loader import SettingsError, load_catalog, variants_path
from models.catalog import Catalog, CatalogError, folder_digest
from tests.conftest import read_cases
from tests.models.site import make_site, make_variant, open_catalog


def ids(catalog: Catalog, *asked: object, **how: object) -> list[str]:
    return [one.id for one in catalog.family("m", *asked, **how)]


def test_a_variant_and_its_adapters_have_ids_and_engine_names_of_their_own(tmp_path: Path) -> None:
    file = make_site(tmp_path, "nf4", "w8a8", vertical="e-commerce")
    catalog = open_catalog(file)
    variant, adapter = catalog.family("m", "NF4")
    (entry, _) = catalog.base("m").variants
    assert (variant.id, variant.parent, variant.quantization) == ("m-nf4", "m", "nf4")
    assert variant.served_name == f"m-nf4@{entry.digest[:12]}"
    assert (adapter.id, adapter.parent, adapter.quantization) == ("m-lora-nf4", "m-nf4", "nf4")
    both = f"{entry.digest}\n{folder_digest(tmp_path / 'lora')}\n"
    assert adapter.digest == hashlib.sha256(both.encode()).hexdigest()
    assert adapter.served_name == f"m-lora-nf4@{adapter.digest[:12]}"
    assert adapter.lineage == ("m-lora-nf4", "m-lora", "m-nf4", "m")
    assert variant.vertical == "e-commerce"
    assert ids(catalog) == ["m", "m-lora"]


def test_adapters_are_offered_on_a_variant_unless_the_matrix_says_no(tmp_path: Path) -> None:
    catalog = open_catalog(make_site(tmp_path, "w8a8"))
    assert ids(catalog, "w8a8", "cpu") == ["m-w8a8"]
    assert ids(catalog, "w8a8", "cpu-avx512") == ["m-w8a8"]
    assert ids(catalog, "w8a8", "cuda") == ["m-w8a8", "m-lora-w8a8"]
    assert ids(catalog, "w8a8") == ["m-w8a8", "m-lora-w8a8"], "a gateway doesn't know where its nodes stand"


def test_served_variant_answers_the_base_s_own_id(tmp_path: Path) -> None:
    catalog = open_catalog(make_site(tmp_path, "nf4", "w8a8", served_variant="nf4"))
    family = {one.id: one for one in catalog.family("m")}
    assert list(family) == ["m-nf4", "m-lora-nf4", "m", "m-lora"]
    assert family["m"].served_name == family["m-nf4"].served_name
    assert (family["m"].quantization, family["m"].digest) == ("nf4", family["m-nf4"].digest)
    assert (family["m"].parent, family["m-lora"].parent) == (None, "m")
    assert family["m-lora"].served_name == family["m-lora-nf4"].served_name
    assert catalog.served(("m", "m-w8a8"))["m"] == family["m"]
    assert ids(catalog, "w8a8", "cpu") == ["m-w8a8"]
    assert ids(catalog, plain=True) == ["m", "m-lora"]
    assert catalog.weights(catalog.base("m")) == str(tmp_path / "nf4")


def test_admitted_variants_stand_beside_those_of_the_catalog(tmp_path: Path) -> None:
    file = make_site(tmp_path, "nf4")
    variants_path(file).write_text(yaml.safe_dump({"m": [make_variant(tmp_path, "w8a8")]}))
    assert variants_path(file).name == "models.variants.yaml"
    assert list(open_catalog(file).served(("m-nf4", "m-w8a8", "m-lora-nf4"))) == ["m-nf4", "m-w8a8", "m-lora-nf4"]


def test_a_pinned_digest_lets_the_right_files_through(tmp_path: Path) -> None:
    file = make_site(tmp_path)
    pinned = folder_digest(tmp_path / "base")
    text = yaml.safe_load(file.read_text())
    text["models"][0] |= {"digest": pinned}
    text["models"][0]["adapters"][0] |= {"digest": folder_digest(tmp_path / "lora")}
    file.write_text(yaml.safe_dump(text))
    assert open_catalog(file).family("m")[0].digest == pinned


@pytest.mark.parametrize("case", read_cases("catalog_bad.jsonl"), ids=lambda case: case["id"])
def test_what_is_wrong_is_named(case: dict, tmp_path: Path) -> None:
    file = make_site(tmp_path, *case.get("variants", []), **case.get("entry", {}))
    for step in case.get("do", []):
        spoil(tmp_path, step)
    with pytest.raises((CatalogError, SettingsError)) as caught:
        ask(file, case["ask"])
    said = str(caught.value)
    assert [words for words in case["says"] if words not in said] == [], said


def ask(file: Path, questions: list[dict]) -> None:
    catalog = open_catalog(file)
    for one in questions:
        base = catalog.base(one.get("model", "m"))
        catalog.weights(base, one.get("variant"))
        catalog.family(base.id, one.get("variant"))
        catalog.served(tuple(one.get("served", ())))


def spoil(root: Path, step: dict) -> None:
    """Do one thing to the files of a site: write, pickle, cut, append, remove, admit, artefact."""
    path = root / step["file"]
    match step["do"]:
        case "write":
            path.write_text(step["text"])
        case "pickle":
            path.write_bytes(pickle.dumps({"w": [1.0]}))
        case "cut":
            path.write_bytes(path.read_bytes()[: -step["bytes"]])
        case "append":
            path.write_bytes(path.read_bytes() + b" ")
        case "remove":
            path.unlink()
        case "folder-gone":
            path.rename(root / "elsewhere")
        case "admit":
            path.write_text(json.dumps(step["variants"]))
        case "artefact":
            make_variant(root, path.name)


def test_an_unreadable_file_of_variants_is_named(tmp_path: Path) -> None:
    file = make_site(tmp_path)
    variants_path(file).write_text("m: [{scheme: nf4}]\n")
    with pytest.raises(SettingsError, match=r"models\.variants\.yaml: m\.0\.path: Field required"):
        load_catalog(file)

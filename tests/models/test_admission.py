"""Admitting variants: what is checked, that it is all or nothing, and that two at once both stay."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from configs.loader import load_admitted, load_catalog, variants_path
from configs.sections.catalog import VariantSettings
from models.admission import AdmissionError, admit
from tests.models.site import make_site, make_variant


def made(folder: Path, scheme: str) -> VariantSettings:
    return VariantSettings.model_validate(make_variant(folder, scheme))


def test_an_admitted_variant_is_in_the_catalog(tmp_path: Path) -> None:
    file = make_site(tmp_path)
    before = file.read_bytes()
    admit(file, "m", made(tmp_path, "nf4"), tmp_path)
    admit(file, "m", made(tmp_path, "fp8"), tmp_path)
    assert "m-lora-nf4" in load_catalog(file).public_ids()
    assert [one.scheme for one in load_admitted(file).root["m"]] == ["fp8", "nf4"]
    assert file.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir() if one.is_file()) == ["models.variants.yaml", "models.yaml"]


def test_a_new_one_of_a_scheme_takes_the_old_one_s_place(tmp_path: Path) -> None:
    file = make_site(tmp_path)
    variant = made(tmp_path, "nf4")
    admit(file, "m", variant, tmp_path)
    admit(file, "m", variant.model_copy(update={"engine_args": ("--enforce-eager",)}), tmp_path)
    assert [one.engine_args for one in load_admitted(file).root["m"]] == [("--enforce-eager",)]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"digest": "1" * 64}, "not 1111"),
        ({"evaluation": "1" * 64}, "EVALUATION.json: is missing, or not the report"),
        ({"scheme": "fp8"}, "is m as nf4, not m as fp8"),
        ({"path": Path("nowhere")}, "no such file"),
    ],
)
def test_what_is_wrong_is_not_admitted(wrong: dict, says: str, tmp_path: Path) -> None:
    file = make_site(tmp_path)
    variant = made(tmp_path, "nf4").model_copy(update=wrong)
    with pytest.raises(AdmissionError, match=says):
        admit(file, "m", variant, tmp_path)
    assert not variants_path(file).exists()


def test_an_artefact_of_another_base_is_not_admitted(tmp_path: Path) -> None:
    file = make_site(tmp_path)
    variant = made(tmp_path, "nf4")
    (tmp_path / "base" / "README.md").write_text("a new base")
    with pytest.raises(AdmissionError, match="quantize again"):
        admit(file, "m", variant, tmp_path)


def test_a_scheme_of_the_catalog_file_itself_is_not_admitted_again(tmp_path: Path) -> None:
    file = make_site(tmp_path, "nf4")
    variant = load_catalog(file).models[0].variants[0]
    with pytest.raises(AdmissionError, match="scheme used twice: nf4"):
        admit(file, "m", variant, tmp_path)
    assert not variants_path(file).exists()


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make_site(tmp_path)
    admit(file, "m", made(tmp_path, "nf4"), tmp_path)
    before = variants_path(file).read_bytes()
    variant = made(tmp_path, "fp8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        admit(file, "m", variant, tmp_path)
    assert variants_path(file).read_bytes() == before
    assert not list(tmp_path.glob(".models*"))


def test_admissions_at_once_are_all_kept(tmp_path: Path) -> None:
    file = make_site(tmp_path)
    variants = [made(tmp_path, scheme) for scheme in ("nf4", "int8", "w8a8", "fp8")]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: admit(file, "m", one, tmp_path), variants))
    kept = yaml.safe_load(variants_path(file).read_text())["m"]
    assert [one["scheme"] for one in kept] == ["fp8", "int8", "nf4", "w8a8"]

"""An artefact's manifest: good folders have one digest whatever machine they are on, damaged ones are refused."""

import hashlib
import json
import pickle
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save_file

from models.manifest import (
    MANIFEST,
    ArtefactError,
    BaseRef,
    CalibrationRef,
    artefact_digest,
    read_manifest,
    write_manifest,
)
from models.weights import WeightsError, check_weights
from tests.conftest import read_cases

ZEROS, ONES = "0" * 64, "1" * 64


def make_artefact(folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    save_file({"w": numpy.arange(16, dtype=numpy.float32)}, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    (folder / "recipe.yaml").write_text(
        f"base: {{id: tiny, digest: '{ZEROS}'}}\nscheme: nf4\nseed: 7\ncalibration: {{sha256: '{ONES}', rows: 64}}\n"
    )
    return write_manifest(
        folder,
        scheme="nf4",
        base=BaseRef(id="tiny", digest=ZEROS),
        calibration=CalibrationRef(sha256=ONES, rows=64, tokens=1000),
        seed=7,
        tools={"torch": "2", "bitsandbytes": "1"},
    )


def test_a_good_folder_has_the_digest_of_its_manifest_wherever_it_lies(tmp_path: Path) -> None:
    first, second = make_artefact(tmp_path / "a"), make_artefact(tmp_path / "b")
    assert first == second == artefact_digest(tmp_path / "a")
    assert first == hashlib.sha256((tmp_path / "a" / MANIFEST).read_bytes()).hexdigest()
    assert set(read_manifest(tmp_path / "a").files) == {"model.safetensors", "config.json", "recipe.yaml"}
    assert str(tmp_path) not in (tmp_path / "a" / MANIFEST).read_text()


def test_the_card_and_the_evaluation_may_change_later(tmp_path: Path) -> None:
    digest = make_artefact(tmp_path)
    for name in ("README.md", "EVALUATION.json", "EVALUATION.html"):
        (tmp_path / name).write_text("measured")
    assert artefact_digest(tmp_path) == digest


@pytest.mark.parametrize("case", read_cases("artefact_bad.jsonl"), ids=lambda case: case["id"])
def test_damage_is_named(case: dict, tmp_path: Path) -> None:
    make_artefact(tmp_path)
    _damage(tmp_path, case)
    with pytest.raises(ArtefactError) as caught:
        artefact_digest(tmp_path)
    assert all(words in str(caught.value) for words in case["says"]), str(caught.value)


def _damage(folder: Path, case: dict) -> None:
    path = folder / case.get("file", MANIFEST)
    match case["do"]:
        case "remove":
            path.unlink()
        case "append":
            path.write_bytes(path.read_bytes() + case["text"].encode())
        case "cut":
            path.write_bytes(path.read_bytes()[: -case["bytes"]])
        case "write":
            path.write_text(case["text"])
        case "folder":
            path.mkdir()
        case "manifest":
            content = json.loads(path.read_text()) | {case["field"]: case["value"]}
            path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "optimizer.pt", "innocent.json"])
def test_pickles_are_refused_whatever_they_are_called(name: str, tmp_path: Path) -> None:
    make_artefact(tmp_path)
    assert check_weights(tmp_path) > 64
    (tmp_path / name).write_bytes(pickle.dumps({"w": 1}))
    with pytest.raises(WeightsError, match=f"{name}: is a pickle file"):
        check_weights(tmp_path)


def test_a_shard_that_the_index_names_must_be_there(tmp_path: Path) -> None:
    make_artefact(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-00001-of-00001.safetensors"}}))
    with pytest.raises(WeightsError, match=r"model-00001-of-00001\.safetensors: the index names this file"):
        check_weights(tmp_path)
    index.write_text("[]")
    with pytest.raises(WeightsError, match="can't be read as an index"):
        check_weights(tmp_path)

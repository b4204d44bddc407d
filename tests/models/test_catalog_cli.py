"""`opcgate models list|show|verify|doctor` and `engine start`: what they print, for people and machines."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from models.cli import engine, models
from tests.models.site import make_site


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings with a catalog whose paths are whole ones, so that they are found from anywhere."""
    file = make_site(tmp_path, "nf4", "w8a8", vertical="cantonese", licence="Apache-2.0", filing_number="X-1")
    catalog = yaml.safe_load(file.read_text())
    (model,) = catalog["models"]
    model["source"]["path"] = str(tmp_path / "base")
    for one in (*model["adapters"], *model["variants"]):
        one["path"] = str(tmp_path / one["path"])
    file.write_text(yaml.safe_dump(catalog))
    settings = tmp_path / "opcgate.yaml"
    node = {"name": "n", "url": "http://127.0.0.1:1", "models": ["m"]}
    settings.write_text(yaml.safe_dump({"catalog": "models.yaml", "nodes": [node], "engine": {"model": "m"}}))
    return settings


def run(config: Path, *words: str) -> tuple[int, str]:
    app = engine if words[0] == "start" else models
    done = CliRunner().invoke(app, [*words, "--config", str(config)], env={"COLUMNS": "1000"}, catch_exceptions=False)
    return done.exit_code, done.output


def test_list_and_show_tell_variants_adapters_licence_and_filing(config: Path) -> None:
    code, table = run(config, "list")
    assert code == 0
    assert [
        word for word in ("m", "nf4", "w8a8", "m-lora", "cantonese", "Apache-2.0", "X-1") if word not in table
    ] == []
    (listed,) = json.loads(run(config, "list", "--json")[1])
    shown = json.loads(run(config, "show", "m-lora-nf4", "--json")[1])
    assert listed == shown, "any public id finds its model"
    assert [one["id"] for one in shown["variants"]] == ["m-nf4", "m-w8a8"]
    assert (shown["filing_number"], shown["vertical"]) == ("X-1", "cantonese")
    assert yaml.safe_load(run(config, "show", "m")[1]) == shown


def test_verify_ends_with_one_when_something_is_wrong(config: Path) -> None:
    code, output = run(config, "verify", "--json")
    outcomes = {one["id"]: one["outcome"] for one in json.loads(output)}
    assert (code, outcomes) == (0, dict.fromkeys(("m", "m-nf4", "m-w8a8", "m-lora"), "ok"))
    for file in ("nf4/EVALUATION.json", "lora/adapter_model.safetensors"):
        (config.parent / file).write_text("other")
    code, output = run(config, "verify", "m", "--json")
    wrong = {one["id"]: one["said"] for one in json.loads(output) if one["outcome"] == "wrong"}
    assert code == 1
    assert "EVALUATION.json: is missing, or not the report" in wrong["m-nf4"]
    assert "adapter_model.safetensors: is truncated" in wrong["m-lora"]
    assert "is truncated" in run(config, "verify")[1].replace("\n", "")


def test_an_artefact_of_another_base_is_found(config: Path) -> None:
    (config.parent / "base" / "README.md").write_text("a new base")
    code, output = run(config, "verify", "--json")
    wrong = {one["id"]: one["said"] for one in json.loads(output) if one["outcome"] == "wrong"}
    assert (code, set(wrong)) == (1, {"m-nf4", "m-w8a8"})
    assert "quantize again" in wrong["m-nf4"]


def test_doctor_has_figures_for_machines_and_words_for_people(config: Path) -> None:
    found = json.loads(run(config, "doctor", "--json")[1])
    assert [one["id"] for one in found["models"]] == ["m", "m-nf4", "m-w8a8"]
    assert found["models"][1]["needs"]["kv_token"] == 2 * 2 * 1 * 4 * 2, "keys and values, layers, heads, size, bytes"
    assert found["machine"]["hardware"] in ("cpu", "cpu-avx512", "cuda")
    code, table = run(config, "doctor", "m")
    assert code == 0
    assert "KV cache" in table


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["show", "x"], "not in the catalog: x; it has m, m-lora, m-nf4"),
        (["verify", "x"], "'x' isn't in the catalog"),
        (["doctor", "x"], "'x' isn't in the catalog"),
        (["pull", "m"], "comes from a path, so there is nothing to fetch"),
        (["start", "--variant", "FP8"], "model 'm' has no variant 'fp8'; it has nf4, w8a8"),
        (["start", "--model", "x"], "'x' isn't in the catalog"),
    ],
)
def test_what_is_not_there_is_an_error_with_its_mend(words: list[str], says: str, config: Path) -> None:
    code, output = run(config, *words)
    assert code == 2
    assert says in output


def test_an_engine_that_does_not_fit_is_not_started(config: Path) -> None:
    settings = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump(settings | {"engine": {"model": "m", "kv_cache_gib": 1_000_000}}))
    code, output = run(config, "start", "--variant", "Nf4")
    assert code == 2
    assert "'m-nf4' can't run here: it needs 1000000.0 GiB" in output
    assert "本机无法运行" in output

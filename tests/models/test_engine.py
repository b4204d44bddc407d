"""How an engine is started: its command line and environment, and digests that name adapters."""

import sys
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save_file

from configs.schema import CatalogSettings, EngineSettings
from models.catalog import Catalog, CatalogError, folder_digest
from models.engine import engine_command
from models.process import Child
from tests.models.site import make_site, open_catalog


def catalog(tmp_path: Path, **entry: object) -> Catalog:
    folder = tmp_path / "base"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    save_file({"w": numpy.zeros(4, dtype=numpy.float32)}, folder / "model.safetensors")
    (tmp_path / "lora").mkdir(exist_ok=True)
    (tmp_path / "lora" / "adapter_config.json").write_text("{}")
    save_file({"a": numpy.zeros(4, dtype=numpy.float32)}, tmp_path / "lora" / "adapter_model.safetensors")
    base = {"id": "m", "source": {"path": "base"}, "context_tokens": 512} | entry
    return Catalog(CatalogSettings.model_validate({"models": [base]}), tmp_path)


def test_a_local_model_starts_offline(tmp_path: Path) -> None:
    adapters = [{"id": "m-lora", "path": "lora"}]
    command = engine_command(catalog(tmp_path, adapters=adapters, tool_parser="hermes"), EngineSettings(model="m"))
    line = " ".join(command.argv)
    assert f"--model {tmp_path}/base --served-model-name m" in line
    assert "--enable-lora" in line
    assert "--tool-call-parser hermes" in line
    assert command.env["HF_HUB_OFFLINE"] == command.env["VLLM_NO_USAGE_STATS"] == "1"


FLAGS = {"engine_args": ["--any"], "hardware_args": {"cpu": ["--only-cpu"], "cuda": ["--only-cuda"]}}


@pytest.mark.parametrize(
    ("variant", "hardware", "has", "lacks"),
    [
        ("nf4", "cpu", ["--any", "--only-cpu", "--enable-lora", "m-nf4@"], ["--only-cuda", "--quantization"]),
        ("w8a8", "cpu", ["--any", "--only-cpu", "m-w8a8@"], ["--enable-lora"]),
        ("w8a8", "cpu-avx512", ["--any"], ["--enable-lora", "--only-cpu"]),
        ("w8a8", "cuda", ["--only-cuda", "--enable-lora"], ["--only-cpu"]),
        (None, "cuda", ["--only-cuda", "--enable-lora", "--quantization fp8"], ["@"]),
    ],
)
def test_flags_follow_the_variant_and_the_hardware(
    variant: str | None, hardware: str, has: list[str], lacks: list[str], tmp_path: Path
) -> None:
    catalog = open_catalog(make_site(tmp_path, "nf4", "w8a8", quantization="fp8", **FLAGS))
    command = engine_command(catalog, EngineSettings(model="m", variant=variant), hardware)
    line = " ".join(command.argv).replace(str(tmp_path), "")
    assert [one for one in has if one not in line] == []
    assert [one for one in lacks if one in line] == []
    assert command.env["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize(("hub", "flag"), [("huggingface", None), ("modelscope", "1")])
def test_a_hub_model_may_be_fetched(
    tmp_path: Path, hub: str, flag: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    entry = {"source": {hub: "Qwen/Qwen3-0.6B", "revision": "abc"}, "quantization": "fp8"}
    command = engine_command(catalog(tmp_path, **entry), EngineSettings(model="m"))
    line = " ".join(command.argv)
    assert "--model Qwen/Qwen3-0.6B" in line
    assert "--revision abc" in line
    assert "--quantization fp8" in line
    assert "--load-format safetensors" in line, "what is fetched must not be unpickled"
    assert command.env.get("VLLM_USE_MODELSCOPE") == flag
    assert "HF_HUB_OFFLINE" not in command.env


def test_missing_weights_and_unknown_models_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="isn't in the catalog; it has m"):
        engine_command(catalog(tmp_path), EngineSettings(model="x"))
    with pytest.raises(CatalogError, match="build-starter"):
        engine_command(catalog(tmp_path, source={"path": "nowhere"}), EngineSettings(model="m"))


def test_an_adapter_is_served_under_a_name_unique_to_its_content(tmp_path: Path) -> None:
    adapters = [{"id": "m-lora", "path": "lora"}]
    before = catalog(tmp_path, adapters=adapters).served(("m-lora",))["m-lora"]
    (tmp_path / "lora" / "README.md").write_text("other")
    after = catalog(tmp_path, adapters=adapters).served(("m-lora",))["m-lora"]
    assert before.served_name.startswith("m-lora@")
    assert before.served_name != after.served_name
    assert after.parent == "m"


def test_a_digest_covers_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    first = folder_digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert folder_digest(tmp_path) != first
    with pytest.raises(CatalogError, match="empty"):
        folder_digest(tmp_path / "none")


def test_stopping_a_child_ends_its_whole_group(tmp_path: Path) -> None:
    script = """import subprocess, time
print(subprocess.Popen(["sleep", "300"]).pid, flush=True)
time.sleep(300)"""
    child = Child.start("x", (sys.executable, "-c", script), {}, tmp_path / "x.log")
    while not child.log.read_text().strip():
        assert child.exit_code is None
    grandchild = int(child.log.read_text())
    child.stop(5)
    assert child.exit_code is not None
    state = Path(f"/proc/{grandchild}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"

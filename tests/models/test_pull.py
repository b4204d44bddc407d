"""Fetching models with the hub's own client from a hub on this machine: pinned, resumed, checked, never a pickle."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import yaml
from safetensors.numpy import save

from configs.schema import CatalogSettings, ModelSettings
from models.admission import AdmissionError, check_base
from models.catalog import Catalog, folder_digest
from models.doctor import diagnose_all
from models.machine import machine_of
from models.manifest import BaseRef
from models.pull import pull
from models.snapshot import SnapshotError, snapshot_folder
from models.verify import verify
from quantize.run.base import find_base
from tests.conftest import ROOT
from tests.models.hub import COMMIT, Hub, running
from tests.models.site import CONFIG, make_site, open_catalog

WEIGHTS = save({"w": numpy.arange(300_000, dtype=numpy.float32)})
FILES = {
    "config.json": CONFIG.encode(),
    "tokenizer.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"\x80\x04" + bytes(2000),
    "original/consolidated.pth": b"\x80\x04" + bytes(2000),
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub import constants

    with running(Hub(dict(FILES))) as started:
        monkeypatch.setattr(constants, "ENDPOINT", started.url)
        template = started.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield started


def model(**source: str) -> ModelSettings:
    entry = {"id": "m", "source": {"huggingface": "tiny/model", "revision": "v1"} | source, "context_tokens": 512}
    return ModelSettings.model_validate(entry)


def test_safetensors_are_fetched_at_the_pinned_revision_and_pickles_never(hub: Hub) -> None:
    said: list[str] = []
    folder = pull(model(), said.append)
    assert folder.name == COMMIT
    assert sorted(one.name for one in folder.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert not [name for name, _ in hub.asked if name.endswith((".bin", ".pth"))]
    assert snapshot_folder(model()) == folder
    assert not any("pin it" in line for line in said)


def test_what_is_made_from_a_hubs_model_is_known_by_the_digest_of_its_files(hub: Hub, tmp_path: Path) -> None:
    folder = pull(model(), lambda _line: None)
    catalog = Catalog(CatalogSettings(models=(model(),)))
    digest = find_base(catalog.settings, "m").digest
    assert catalog.weights_folder(model()) == folder
    assert digest == catalog.weights_digest(model()) == folder_digest(folder)
    check_base(catalog, model(), BaseRef(id="m", digest=digest), tmp_path)
    with pytest.raises(AdmissionError, match="quantize again"):
        check_base(catalog, model(), BaseRef(id="m", digest=catalog.base_digest(model())), tmp_path)


def test_a_newest_revision_is_said_to_be_one(hub: Hub) -> None:
    said: list[str] = []
    entry = {"id": "m", "source": {"huggingface": "tiny/model"}, "context_tokens": 512}
    pull(ModelSettings.model_validate(entry), said.append)
    assert "source.revision isn't set" in said[0]


def test_what_came_wrong_is_refused_and_named(hub: Hub) -> None:
    hub.sends["model.safetensors"] = WEIGHTS[:-4] + b"\xff\xff\xff\xff"
    with pytest.raises(SnapshotError, match=r"model\.safetensors: isn't what the hub has; delete it"):
        pull(model(), lambda _line: None)


def test_a_file_that_was_changed_afterwards_is_found(hub: Hub, tmp_path: Path) -> None:
    folder = pull(model(), lambda _line: None)
    file = make_site(tmp_path, adapters=[], source={"huggingface": "tiny/model", "revision": "v1"})
    (good,) = verify(open_catalog(file))
    assert (good.outcome, good.pinned) == ("ok", True)
    (fits,) = diagnose_all(open_catalog(file), machine_of("", "MemAvailable: 16777216 kB", None, ""), 1)
    assert (fits.verdict, fits.needs.weights) == ("fits", 600_000), "as bfloat16"
    blob = (folder / "model.safetensors").resolve()
    blob.chmod(0o644)
    blob.write_bytes(WEIGHTS[:-1] + b"\x7f")
    (found,) = verify(open_catalog(file))
    assert found.outcome == "wrong"
    assert "model.safetensors: isn't what the hub had" in found.said
    blob.write_bytes(WEIGHTS[:-9])
    (cut,) = verify(open_catalog(file))
    assert "is truncated" in cut.said


@pytest.mark.parametrize(
    ("files", "source", "says"),
    [
        (
            {"config.json": b"{}", "pytorch_model.bin": b"x"},
            {},
            r"They are pickles \(pytorch_model\.bin\).*can run code",
        ),
        ({"config.json": b"{}"}, {}, "the hub has no safetensors weights"),
        (FILES, {"revision": "v9"}, "no revision v9"),
        (FILES, {"huggingface": "tiny/other"}, "the hub has no such model"),
    ],
)
def test_what_cannot_be_fetched_says_why(files: dict, source: dict, says: str, hub: Hub, tmp_path: Path) -> None:
    hub.files = files
    with pytest.raises(SnapshotError, match=says):
        pull(model(**source), lambda _line: None)
    assert not list((tmp_path / "cache").rglob("*.bin"))


def test_a_model_larger_than_the_disk_is_not_begun(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.pull.disk_usage", lambda _path: SimpleNamespace(free=9))
    with pytest.raises(SnapshotError, match="free some, or set HF_HOME"):
        pull(model(), lambda _line: None)
    assert hub.asked == []


def test_what_was_fetched_is_not_fetched_again(hub: Hub) -> None:
    hub.lacks.add("model.safetensors")
    with pytest.raises(SnapshotError, match="goes on where it stopped"):
        pull(model(), lambda _line: None)
    fetched = {name for name, _ in hub.asked}
    hub.lacks.clear()
    hub.asked.clear()
    pull(model(), lambda _line: None)
    assert "model.safetensors" in {name for name, _ in hub.asked}
    assert not fetched & {name for name, _ in hub.asked}


def test_a_hub_that_is_away_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SnapshotError, match="run the command again"):
        pull(model(), lambda _line: None)


def test_modelscope_s_models_are_fetched_with_its_own_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"id": "m", "source": {"modelscope": "tiny/model", "revision": "v1"}, "context_tokens": 512}
    base = ModelSettings.model_validate(entry)
    with running(Hub(dict(FILES))) as hub:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
        monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
        with pytest.raises(SnapshotError, match="opcgate models pull m"):
            snapshot_folder(base)
        folder = pull(base, lambda _line: None)
        assert snapshot_folder(base) == folder
        assert (folder / "model.safetensors").read_bytes() == WEIGHTS
        assert not [name for name, _ in hub.asked if name.endswith((".bin", ".pth"))]


def test_the_command_goes_on_where_it_stopped(tmp_path: Path) -> None:
    file = make_site(tmp_path, adapters=[], source={"huggingface": "tiny/model", "revision": "v1"})
    node = {"name": "n", "url": "http://127.0.0.1:1", "models": ["m"]}
    config = tmp_path / "opcgate.yaml"
    config.write_text(yaml.safe_dump({"catalog": str(file), "nodes": [node]}))
    chunk = 10 * 1024 * 1024  # the client keeps what it has in whole pieces of this size
    large = save({"w": numpy.zeros(12 * 1024 * 1024, dtype=numpy.uint8)})
    with running(Hub(FILES | {"model.safetensors": large}, breaks_after=chunk + 1000)) as hub:
        env = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            argv = [sys.executable, "-m", "configs", "models", *words, "--json", "--config", str(config)]
            return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)

        done = run("pull", "m")
        assert done.returncode == 0, done.stderr
        ranges = [span for name, span in hub.asked if name == "model.safetensors"]
        assert ranges == [None, f"bytes={chunk}-"]
        folder = Path(json.loads(done.stdout)["folder"])
        assert (folder / "model.safetensors").read_bytes() == large
        assert [one["outcome"] for one in json.loads(run("verify", "m").stdout)] == ["ok"]

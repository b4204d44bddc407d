"""Runs with the real tools on the starter model: interrupted, out of disk, finished; the same bytes each time."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from configs.loader import load_catalog
from models.catalog import folder_digest
from models.manifest import artefact_digest, read_manifest
from models.starter.build import BASE_DIR
from quantize.calibration.starter import write_starter_calibration
from quantize.errors import OutputTaken, WorkerFailed
from quantize.run.base import find_base
from quantize.run.run import Request, quantize_model
from quantize.run.schemes import scheme_facts
from quantize.run.size import artefact_bytes
from tests.conftest import ROOT
from tests.quantize.run.tiny import catalog, change, make_base

CATALOG = ROOT / "configs" / "models.yaml"


@pytest.mark.timeout(900)  # half a minute of work, on a machine that may be shared
def test_nf4_through_an_interrupt_a_full_disk_and_a_second_time(tmp_path: Path) -> None:
    out = tmp_path / "nf4"
    command = ("--scheme", "nf4", "--out", str(out))
    stopped = _start(*command)
    _wait_for(tmp_path / ".nf4.partial" / "artefact", stopped)
    stopped.send_signal(signal.SIGINT)
    assert stopped.wait(30) == 2
    assert "stopped; the same command goes on" in _errors(stopped)
    assert not out.exists()

    # The kernel lets no file grow past this, so that writing the weights fails halfway, as on a full disk.
    full = _start(*command, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000)))
    assert full.wait(240) == 2
    text = _errors(full)
    assert "the disk is full" in text
    assert "磁盘已满" in text
    assert not out.exists()

    again = _start(*command, "--json")
    made = json.loads(again.communicate(timeout=240)[0])
    assert made["digest"] == artefact_digest(out)
    _check_artefact(out, "nf4", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nf4"]

    second = quantize_model(load_catalog(CATALOG), Request("opc-starter", "nf4", tmp_path / "second"))
    assert _bytes(out) == _bytes(second.out)
    assert second.digest == made["digest"]

    there = quantize_model(load_catalog(CATALOG), Request("opc-starter", "nf4", out))
    assert there.reused
    with pytest.raises(OutputTaken, match="differs in seed"):
        quantize_model(load_catalog(CATALOG), Request("opc-starter", "nf4", out, seed=8))
    assert _bytes(out) == _bytes(second.out)


@pytest.mark.timeout(900)  # half a minute of work, on a machine that may be shared
def test_w8a8_killed_in_the_middle_and_once_more(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    write_starter_calibration(rows, 40)
    out = tmp_path / "w8a8"
    killed = _start("--scheme", "w8a8", "--calibration", str(rows), "--rows", "32", "--out", str(out))
    log = tmp_path / ".w8a8.partial" / "worker.log"
    _wait_for(log, killed, "Calibrating")
    workers = psutil.Process(killed.pid).children(recursive=True)
    assert workers
    killed.kill()
    killed.communicate(timeout=10)
    psutil.wait_procs(workers, timeout=20)
    assert not any(worker.is_running() for worker in workers), "the worker outlived the run"
    assert not out.exists()

    stages = []
    request = Request("opc-starter", "w8a8", out, rows, rows=32)
    made = quantize_model(
        load_catalog(CATALOG), request, lambda progress: stages.append((progress.stage, progress.done))
    )
    assert (made.resumed, made.calibration_rows, made.device in ("cpu", "cuda")) == (False, 32, True)
    assert ("quantize", 5) in stages, "every layer is told"
    _check_artefact(out, "w8a8", rows)

    # A run that died between the weights and the end goes on from the weights.
    second = tmp_path / "second"
    place = tmp_path / ".second.partial"
    request = Request("opc-starter", "w8a8", second, rows, rows=32)
    with pytest.raises(KeyboardInterrupt):
        quantize_model(load_catalog(CATALOG), request, _interrupted_at("finish"))
    assert (place / "weights.json").is_file()
    assert not second.exists()
    assert quantize_model(load_catalog(CATALOG), request).resumed
    assert not place.exists()
    assert _bytes(out) == _bytes(second)


def test_a_tool_that_fails_says_why_and_leaves_its_log(tmp_path: Path) -> None:
    make_base(tmp_path / "base")
    change(tmp_path / "base", {"do": "write", "file": "config.json", "text": '{"num_hidden_layers": 1}'})
    with pytest.raises(WorkerFailed, match="could not quantize: ValueError") as caught:
        quantize_model(catalog(), Request("tiny", "nf4", tmp_path / "out"), root=tmp_path)
    log = tmp_path / ".out.partial" / "worker.log"
    assert str(log) in str(caught.value)
    assert "Traceback" in log.read_text()
    assert not (tmp_path / "out").exists()


def _start(*arguments: str, before: Callable[[], None] | None = None) -> subprocess.Popen:
    command = [sys.executable, "-m", "configs", "quantize", "run", "--model", "opc-starter", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, preexec_fn=before)


def _errors(process: subprocess.Popen) -> str:
    return " ".join(process.communicate()[1].split())


def _wait_for(path: Path, process: subprocess.Popen, text: str = "") -> None:
    deadline = time.monotonic() + 240
    while not path.exists() or (text and text not in path.read_text(errors="replace")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _interrupted_at(stage: str) -> Callable[[object], None]:
    def report(progress: object) -> None:
        if progress.stage == stage:
            raise KeyboardInterrupt

    return report


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _check_artefact(out: Path, scheme: str, rows: Path | None) -> None:
    manifest = read_manifest(out)
    digest = artefact_digest(out)
    recipe = yaml.safe_load((out / "recipe.yaml").read_text(encoding="utf-8"))
    assert manifest.scheme == recipe["scheme"] == scheme
    assert manifest.base.digest == recipe["base"]["digest"] == folder_digest(BASE_DIR)
    assert (manifest.calibration is None) == (rows is None) == (recipe["calibration"] is None)
    assert {"config.json", "model.safetensors", "recipe.yaml", "tokenizer.json"} < set(manifest.files)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (out / name).read_bytes() == (BASE_DIR / name).read_bytes()
    assert {oct(os.stat(path).st_mode & 0o777) for path in out.iterdir()} == {"0o644"}
    card = (out / "README.md").read_text(encoding="utf-8")
    assert digest in card
    assert "尚未评估" in card
    for path in out.iterdir():
        if path.suffix != ".safetensors":
            assert str(ROOT) not in path.read_text(encoding="utf-8"), f"{path.name} names a folder of this machine"
    expected = artefact_bytes(find_base(load_catalog(CATALOG), "opc-starter"), scheme_facts(scheme))
    assert (out / "model.safetensors").stat().st_size == pytest.approx(expected, rel=0.03), "the arithmetic is off"
    quantized = json.loads((out / "config.json").read_text())["quantization_config"]
    assert quantized["quant_method"] == ("bitsandbytes" if scheme == "nf4" else "compressed-tensors")

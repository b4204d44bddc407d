"""Engines that die, do not answer or are interrupted: an error with the end of the log, and no process left."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from configs.loader import load_catalog
from configs.sections.catalog import ModelSettings
from models.process import Child
from models.stopping import Stopped
from quantize.evaluate.client import Asked, Target, ask_all
from quantize.evaluate.engines import Engine, alone, running
from quantize.evaluate.rows import EvaluationError
from quantize.evaluate.speed import failed
from tests.conftest import ROOT, free_port

CHAT = ({"role": "user", "content": "你好"},)


def starter_model() -> ModelSettings:
    return load_catalog(ROOT / "configs" / "models.yaml").models[0]


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def ended(folder: Path) -> Engine:
    script = "import sys; print('kernel cpu_gemm_wna16 is missing', flush=True); sys.exit(3)"
    child = Child.start("engine", (sys.executable, "-c", script), dict(os.environ), folder / "engine.log")
    child.process.wait(20)
    return Engine("variant", f"http://127.0.0.1:{free_port()}", "m", child, 1.0)


def test_the_end_of_a_dead_engines_log_is_in_the_error(tmp_path: Path) -> None:
    engine = ended(tmp_path)
    asked = ask_all(Target(engine.url, engine.model, 4), [CHAT, CHAT], 2, lambda _done, _all: None)
    assert all(one.error and one.tokens == 0 for one in asked)
    with pytest.raises(EvaluationError, match=r"(?s)variant: the engine ended with code 3.*cpu_gemm_wna16 is missing"):
        failed(engine, asked)


def test_a_failed_request_of_a_living_engine_is_said(tmp_path: Path) -> None:
    child = Child.start("engine", ("/bin/sleep", "60"), dict(os.environ), tmp_path / "engine.log")
    engine = Engine("base", "http://127.0.0.1:9", "m", child, 1.0)
    try:
        failed(engine, [Asked("ok", 3)])
        with pytest.raises(EvaluationError, match="1 of 2 requests failed, the first with: status 500"):
            failed(engine, [Asked("ok", 3), Asked(error="status 500: x")])
        assert engine.memory_bytes() > 0
    finally:
        child.stop(1)


def test_an_interrupted_start_leaves_no_process(tmp_path: Path) -> None:
    def interrupt(_what: str, _done: int, _total: int) -> None:
        raise Stopped

    before = children()
    with pytest.raises(Stopped), running("base", alone(starter_model()), tmp_path / "engine.log", 60, interrupt):
        pytest.fail("the engine can't have answered")
    assert children() == before
    assert (tmp_path / "engine.log").exists()


def test_both_models_are_served_alike(tmp_path: Path) -> None:
    model = starter_model()
    bare, quantized = alone(model), alone(model, tmp_path)
    assert quantized.source.path == tmp_path
    assert bare.adapters == quantized.adapters == ()
    assert bare.engine_args == quantized.engine_args == model.engine_args

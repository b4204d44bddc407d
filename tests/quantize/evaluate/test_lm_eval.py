"""What is read from lm-eval's results, and what is said when it can't run."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.process import Child
from quantize.evaluate.engines import Engine
from quantize.evaluate.lm_eval import LmEval, read_scores
from quantize.evaluate.rows import EvaluationError


def test_the_first_metric_of_each_task() -> None:
    results = {
        "results": {
            "ceval": {"alias": "ceval", "acc,none": 0.25, "acc_stderr,none": 0.01, "acc_norm,none": 0.5},
            "mine": {"alias": "mine", "sample_len": 6, "chrf,strict": 37.5},
            "group": {"alias": "group"},
        }
    }
    assert read_scores(results) == {"ceval": ("acc", 0.25), "mine": ("chrf", 37.5)}


def test_without_its_environment(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="make quantize-env"):
        LmEval(tmp_path / "python", ("x",)).score(engine, "tokenizer", lambda *_: None)


def test_a_run_that_fails_shows_the_end_of_its_log(engine: Engine) -> None:
    """An interpreter without lm-eval stands for any failure."""
    with pytest.raises(EvaluationError, match=r"(?s)ended with code 1.*No module named lm_eval"):
        LmEval(Path(sys.executable), ("x",)).score(engine, "tokenizer", lambda *_: None)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """One that lives and is never asked."""
    child = Child.start("engine", ("/bin/sleep", "60"), {}, tmp_path / "engine.log")
    yield Engine("base", "http://127.0.0.1:9", "m", child, 1.0)
    child.stop(1)

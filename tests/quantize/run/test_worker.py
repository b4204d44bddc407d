"""The conversation with a worker: whatever it says or leaves unsaid, a run ends with an error and nothing is left."""

import contextlib
import json
import sys
from pathlib import Path

import psutil
import pytest

from quantize.errors import QuantizeError
from quantize.run.worker import Patience, started
from quantize.run.workers.messages import (
    PROTOCOL,
    Alive,
    Failed,
    Hello,
    Job,
    MessageError,
    Progress,
    Result,
    decode,
    encode,
)
from tests.conftest import read_cases

HELLO = encode(Hello(PROTOCOL, {"tool": "1.0"})).strip()
JOB = Job(PROTOCOL, "nf4", "base", "out", None, 7)
PROGRAM = """
import json, sys, time
case = json.loads(sys.argv[1])
sys.stderr.write("noise of a library\\n")
say = lambda lines: [print(line, flush=True) for line in lines]
say(case["before_job"])
if "after_job" in case:
    sys.stdin.readline()
    say(case["after_job"])
while case.get("hangs"):
    time.sleep(0.05)
    say(case.get("after_job", []) if case.get("repeats") else [])
sys.exit(case.get("code", 0))
"""


@pytest.mark.parametrize("message", [
    Hello(1, {"torch": "2.13.0"}),
    JOB,
    Job(1, "w8a8", "/b", "/o", "/t.jsonl", 0),
    Progress("量化", 1, 5),
    Alive(1.5),
    Result("cpu", {"stage": {"targets": ["Linear"]}}),
    Failed("error", "two\nlines"),
])  # fmt: skip
def test_a_message_is_one_line_and_comes_back_the_same(message: object) -> None:
    line = encode(message)
    assert line.count("\n") == 1
    assert decode(line) == message


def test_a_job_without_its_fields_is_none() -> None:
    with pytest.raises(MessageError, match="Job: fields"):
        decode('{"message": "Job", "protocol": 1}')
    with pytest.raises(MessageError, match=r"Job\.tokens_file"):
        decode(encode(JOB).replace("null", "7"))


@pytest.mark.parametrize("case", read_cases("worker_lines.jsonl"), ids=lambda case: case["id"])
def test_whatever_a_worker_says_the_run_ends(case: dict, tmp_path: Path) -> None:
    lines = {
        name: [HELLO if one == "HELLO" else one for one in case[name]]
        for name in ("before_job", "after_job")
        if name in case
    }
    command = (sys.executable, "-c", PROGRAM, json.dumps(case | lines))
    silent = 0.3 if case.get("hangs") and "said nothing" in case["says"][0] else 20
    before = set(psutil.Process().children())
    with pytest.raises(QuantizeError) as caught:
        _run(command, tmp_path / "log", Patience(silent, 0.2))
    assert all(words in str(caught.value) for words in case["says"]), str(caught.value)
    assert set(psutil.Process().children()) <= before


def _run(command: tuple[str, ...], log: Path, patience: Patience) -> None:
    with started(command, log, patience) as worker:
        worker.run(JOB, lambda _progress: None)


def test_a_worker_is_gone_when_the_run_is_left(tmp_path: Path) -> None:
    command = (sys.executable, "-c", PROGRAM, json.dumps({"before_job": [HELLO], "hangs": True}))
    with contextlib.suppress(KeyError), started(command, tmp_path / "log") as worker:
        assert worker.tools == {"tool": "1.0"}
        raise KeyError
    assert not psutil.pid_exists(worker.process.pid)

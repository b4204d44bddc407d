"""`opcgate scan`: formats, exit codes, and errors that name the field and the mend."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compliance import cli
from compliance.pipeline import Pipeline

ENVIRONMENT = {**os.environ, "PYTHONIOENCODING": "utf-8"}


def run_process(*arguments: str | Path, stdin: bytes = b"") -> tuple[int, str, str]:
    command = [sys.executable, "-m", "configs", "scan", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, env=ENVIRONMENT, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def run(*arguments: str | Path, stdin: str | bytes = b"") -> tuple[int, str, str]:
    """The command in this process; what it doesn't catch is raised."""
    done = CliRunner().invoke(cli.scan, [*map(str, arguments)], input=stdin, catch_exceptions=False)
    return done.exit_code, done.stdout_bytes.decode(), done.stderr_bytes.decode()


@pytest.fixture(autouse=True)
def _compiled_once(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped rules as the run has compiled them, wherever the command isn't given others."""
    compile_given = cli.pipeline_for
    monkeypatch.setattr(cli, "pipeline_for", lambda *given: compile_given(*given) if any(given) else pipeline)


@pytest.fixture
def masking(tmp_path: Path) -> list[str | Path]:
    """Options for a list of two terms that are masked: no personal information, so no Presidio to wait for."""
    terms, policy = tmp_path / "terms.tsv", tmp_path / "policy.yaml"
    terms.write_text("大麻\tother_illegal\tlow\n芝麻\tother_illegal\tlow\n", encoding="utf-8")
    severities = "{high: block, medium: block, low: mask}"
    policy.write_text(
        f"name: try\ndefault:\n  prompt: {severities}\n  output: {severities}\n"
        "placeholders: {keyword: '#', types: {}}\n"
        "scanners: {entities: {enabled: false}, classifier: {enabled: false}}\n",
        encoding="utf-8",
    )
    return ["--lexicon", terms, "--policy", policy]


def test_clean_text() -> None:
    code, out, err = run_process("--json", stdin="今天天气不错。\n".encode())
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert answer == {"verdict": "allow", "findings": [], "released": "今天天气不错。\n", "rules": answer["rules"]}


def test_findings_with_offsets_into_the_raw_text(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("😀 手机138\u200b00138000\r\n出售冰毒".encode())
    code, out, _ = run(path, "--direction", "prompt", "--json")
    answer = json.loads(out)
    assert (code, answer["verdict"], answer["released"]) == (1, "block", "😀 手机[手机号]\r\n")
    assert [(f["type"], f["start"], f["end"]) for f in answer["findings"]] == [("mobile", 4, 16), ("keyword", 18, 22)]
    explained = {"start", "end", "type", "risk", "severity", "scanner", "rule", "why", "action", "folding"}
    assert set(answer["findings"][0]) == explained
    assert answer["rules"]


def test_lines_and_chunks(masking: list[str | Path]) -> None:
    rows = [
        {"id": 1, "text": "你好"},
        {"id": "b", "chunks": ["惹大", "麻，好"], "note": "ignored"},
        {"id": "c", "chunks": ["\ud83d"]},
        {"id": "d", "chunks": []},
    ]
    code, out, err = run("--jsonl", *masking, stdin="\n".join(json.dumps(row) for row in rows) + "\n\n")
    answers = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (1, "")
    assert [answer["id"] for answer in answers] == [1, "b", "c", "d"]
    assert "released_per_chunk" not in answers[0]
    assert answers[1]["released"] == "惹#，好"
    assert answers[1]["released_per_chunk"] == ["惹", "#，好", ""]
    assert answers[2]["released_per_chunk"] == ["", "\ud83d"]
    assert answers[3]["released_per_chunk"] == [""]


def test_a_tried_lexicon_stands_alone(masking: list[str | Path], tmp_path: Path) -> None:
    allow = tmp_path / "allow.tsv"
    allow.write_text("芝麻\n", encoding="utf-8")
    text = "芝麻和大麻，出售冰毒"
    assert json.loads(run("--json", *masking[:2], stdin=text)[1])["verdict"] == "flag"
    assert json.loads(run("--json", *masking, "--allow", allow, stdin=text)[1])["released"] == "芝麻和#，出售冰毒"
    assert run("--json", *masking, stdin="芝麻")[0] == 1
    assert run("--json", *masking, "--allow", allow, stdin="芝麻")[0] == 0


def test_a_table_for_people(masking: list[str | Path]) -> None:
    code, out, _ = run(*masking, stdin="惹大麻")
    assert code == 1
    assert "mask" in out
    assert "惹#" in out


@pytest.mark.parametrize(
    ("arguments", "stdin", "names"),
    [
        (("nowhere.txt",), b"", "nowhere.txt: cannot be read"),
        (("--direction", "sideways"), b"", "--direction: 'sideways' is unknown; use prompt or output"),
        (("--surface", "paper"), b"", "--surface: 'paper' is unknown"),
        ((), b"ab\xff", "-: not UTF-8 at byte 2"),
        (("--jsonl",), b'{"id": 1, "text": "a"}\n{', "-:2: not JSON"),
        (("--jsonl",), b"[]", "-:1: write an object"),
        (("--jsonl",), b'{"text": "a"}', "-:1: id: give a string or a whole number"),
        (("--jsonl",), b'{"id": 1.5, "text": "a"}', "-:1: id: give a string or a whole number"),
        (("--jsonl",), b'{"id": 1, "text": ' + b"[" * 100_000, "-:1: JSON nested too deep"),
        (("--jsonl",), b'{"id": ' + b"1" * 5000 + b', "text": "a"}', "-:1: JSON nested too deep or a number too long"),
        (("--jsonl",), b'{"id": 1, "text": "a", "chunks": []}', "-:1: give either text or chunks"),
        (("--jsonl",), b'{"id": 1, "chunks": "abc"}', "-:1: chunks: give a list of strings"),
        (("--encoding", "morse"), b"", "--encoding: 'morse' is unknown"),
        ((".", "--jsonl"), b"", "--jsonl reads one file"),
        (("--jsonl",), b'{"id": 1}', "-:1: give either text or chunks"),
        (("--jsonl",), b'{"id": 1, "text": 5}', "-:1: text: give a string"),
        (("--jsonl",), b'{"id": 1, "chunks": ["a", 5]}', "-:1: chunks: give a list of strings"),
        (("--jsonl",), b'\n{"id": 1, "text": "\xff"}', "-:2: not UTF-8"),
        (("--lexicon", "nowhere.tsv"), b"", "nowhere.tsv: cannot be read"),
        (("--policy", "nowhere.yaml"), b"", "nowhere.yaml: cannot be read"),
    ],
)
def test_errors_name_the_place_and_the_mend(arguments: tuple[str, ...], stdin: bytes, names: str) -> None:
    code, _, err = run(*arguments, stdin=stdin)
    assert code == 2
    assert err.startswith(f"opcgate scan: {names}")
    assert " / " in err  # the same again in Chinese
    assert "Traceback" not in err


def test_an_answer_that_cannot_be_written_is_an_error_not_a_finding() -> None:
    command = [sys.executable, "-m", "configs", "scan", "--json"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, input=b"ok", stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=60, check=False
        )
    assert done.returncode == 2
    assert done.stderr.decode().startswith("opcgate scan: the answer cannot be written (No space left on device) / ")
    assert "Traceback" not in done.stderr.decode()


def test_closed_standard_input_is_an_error() -> None:
    command = ["sh", "-c", 'exec "$0" -m configs scan --json <&-', sys.executable]
    done = subprocess.run(command, capture_output=True, env=ENVIRONMENT, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.decode().startswith("opcgate scan: -: cannot be read (standard input is closed)")

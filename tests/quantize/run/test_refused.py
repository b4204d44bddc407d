"""What is refused before any work, by the table; and the tables' good counterparts."""

from pathlib import Path

import pytest

from quantize.errors import EnvironmentMissing, QuantizeError
from quantize.run.run import Request, quantize_model
from quantize.run.size import GIB, Room
from quantize.run.worker import PYTHON_VARIABLE, Patience, worker_command
from tests.conftest import read_cases
from tests.quantize.run.tiny import catalog, change, make_base, write_rows


@pytest.mark.parametrize("case", read_cases("quantize_bad.jsonl"), ids=lambda case: case["id"])
def test_refused_with_the_mend(case: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    make_base(tmp_path / "base")
    write_rows(tmp_path / "rows.jsonl", 40)
    if "base" in case:
        change(tmp_path / "base", case["base"])
    before = _put_out(tmp_path / "out", case.get("out"))
    asked = {"model": "tiny", "scheme": "nf4", "calibration": "rows.jsonl"} | case.get("request", {})
    if asked["calibration"]:
        asked["calibration"] = tmp_path / asked["calibration"]
    free = {name: size * GIB for name, size in case.get("free_gib", {"memory": 64, "disk": 64}).items()}
    settings = catalog(**case.get("catalog", {}))
    with pytest.raises(QuantizeError) as caught:
        quantize_model(settings, Request(out=tmp_path / "out", **asked), root=tmp_path, room=Room(**free))
    assert all(words in str(caught.value) for words in case["says"]), str(caught.value)
    assert _content(tmp_path / "out") == before


def _put_out(out: Path, what: dict | None) -> dict[str, bytes] | None:
    if what and "file" in what:
        out.write_text(what["file"])
    elif what:
        out.mkdir()
        for name in what["folder"]:
            (out / name).write_text("mine")
    return _content(out)


def _content(path: Path) -> dict[str, bytes] | None:
    if path.is_dir():
        return {one.name: one.read_bytes() for one in path.iterdir()}
    return {"": path.read_bytes()} if path.is_file() else None


def test_without_its_environment_a_scheme_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    with pytest.raises(EnvironmentMissing, match="run `make quantize-env`"):
        worker_command("llm-compressor", tmp_path)
    python = tmp_path / ".venv-quantize" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    with pytest.raises(EnvironmentMissing, match="missing or incomplete"):
        worker_command("llm-compressor", tmp_path)
    (tmp_path / ".venv-quantize" / "opcgate-setup.stamp").touch()
    assert worker_command("llm-compressor", tmp_path)[0] == str(python)


def test_a_python_without_the_tool_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    make_base(tmp_path / "base")
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)  # the project's own has no llm-compressor
    request = Request("tiny", "fp8", tmp_path / "out")
    with pytest.raises(EnvironmentMissing, match="No package metadata was found for llmcompressor") as caught:
        quantize_model(catalog(), request, root=tmp_path, patience=Patience(30, 30))
    assert "make quantize-env" in str(caught.value)
    assert not (tmp_path / "out").exists()

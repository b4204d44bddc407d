"""What a plain installation holds: a wheel is built from the packages and compared with them."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.conftest import ROOT

PACKAGES = ("compliance", "configs", "gateway", "loadtests", "models", "quantize")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "*.rej", "*.orig")


def test_a_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=LEFT_OUT)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "."], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = {
        path.relative_to(source).as_posix()
        for name in PACKAGES
        for path in (source / name).rglob("*")
        if path.is_file()
    }
    assert wanted - held == set(), "give the ending under tool.setuptools.package-data"
    assert held - wanted == set()
    assert {
        "configs/lexicons/starter.tsv",
        "configs/policies/base.yaml",
        "compliance/classifier/risks.safetensors",
        "compliance/entities/artefacts/model.json.gz",
        "gateway/migrations/script.py.mako",
        "models/starter/artefacts/adapters/short-drama/adapter_model.safetensors",
    } <= held

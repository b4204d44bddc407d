"""What is measured: the upstream alone, opcgate with everything on, and other gateways, each started like by a user.

The others live in `.venv-bench`, made from `configs/locks/bench.txt`, so that they can't disturb the project's own.
"""

import contextlib
import hashlib
import importlib.metadata
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from loadtests.bench_texts import TERMS, write_lexicon
from loadtests.bench_upstream import Upstreams
from loadtests.children import HOST, BenchError, free_port, running

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-bench"
LOCK = ROOT / "configs" / "locks" / "bench.txt"
WHOLE_MODEL = "bench-whole"
STREAM_MODEL = "bench-stream"
OFFLINE = {"HF_HUB_OFFLINE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
"""Keeps the others from calling out while they start."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running candidate: its addresses without /v1, a key where it asks for one, its records where it keeps them."""

    whole: str
    stream: str
    key: str | None = None
    database: Path | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something to measure. `serve` runs it in a folder of its own while its block runs."""

    name: str
    does: str
    serve: Callable[[Path, Upstreams], AbstractContextManager[Served]]
    package: str | None = None


@contextlib.contextmanager
def serve_upstream(_folder: Path, behind: Upstreams) -> Iterator[Served]:
    """Nothing in between: the floor."""
    yield Served(behind.whole, behind.stream)


@contextlib.contextmanager
def serve_opcgate(folder: Path, behind: Upstreams, *, workers: int) -> Iterator[Served]:
    """`opcgate serve` with everything on: policy, a large word list, limits, prices, vouchers, audit; a SQLite file."""
    port = free_port()
    config = folder / "opcgate.yaml"
    config.write_text(yaml.safe_dump(_opcgate_settings(folder, port, behind, workers)), encoding="utf-8")
    (folder / "models.yaml").write_text(yaml.safe_dump(_opcgate_catalog()), encoding="utf-8")
    write_lexicon(folder / "terms.tsv")
    opcgate = [sys.executable, "-m", "configs"]
    key = _output([*opcgate, "keys", "create", "--name", "bench", "--config", str(config)])
    voucher = ["--issuer", "bench", "--number", "1", "--units", "1000000000", "--until", "2099-12-31"]
    _output([*opcgate, "vouchers", "grant", "--tenant", "default", *voucher, "--config", str(config)])
    command = [*opcgate, "serve", "--config", str(config)]
    with running(command, folder / "opcgate.log", port=port, ready_path="/readyz", cwd=ROOT):
        url = f"http://{HOST}:{port}"
        yield Served(url, url, key, folder / "opcgate.db")


def _opcgate_settings(folder: Path, port: int, behind: Upstreams, workers: int) -> dict[str, object]:
    configs = ROOT / "configs"
    return {
        "listen": {"port": port, "drain_seconds": 2.0},
        "database": {"url": f"sqlite+aiosqlite:///{folder}/opcgate.db"},
        "limits": {
            "concurrent_requests_per_key": 4096,
            "key": {"requests_per_minute": 10_000_000, "tokens_per_minute": 1_000_000_000},
        },
        "ledger": {
            "prices": {one: {"prompt": "0.01", "output": "0.02"} for one in (WHOLE_MODEL, STREAM_MODEL)},
            "lease_units": "10000",
        },
        "audit": {"key_file": f"{folder}/audit-key.pem", "text_key_file": f"{folder}/audit-text-keys.txt"},
        "labels": {"key_file": f"{folder}/label-key.pem"},
        "workers": {"processes": workers},
        "catalog": "models.yaml",
        "compliance": {
            "policy": str(configs / "policies" / "base.yaml"),
            "lexicons": ["terms.tsv"],
            "allow_lists": [str(configs / "lexicons" / "allow.tsv")],
        },
        "nodes": [
            {"name": "whole", "url": behind.whole, "models": [WHOLE_MODEL]},
            {"name": "stream", "url": behind.stream, "models": [STREAM_MODEL]},
        ],
        "log_level": "warning",
    }


def _opcgate_catalog() -> dict[str, object]:
    source = {"huggingface": "none/none"}  # nothing is loaded: the fake upstream answers for any name
    return {
        "models": [{"id": one, "source": source, "context_tokens": 4096} for one in (WHOLE_MODEL, STREAM_MODEL)],
    }


def _output(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    if done.returncode:
        raise BenchError(f"{' '.join(command[1:5])} failed: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


@contextlib.contextmanager
def serve_sglang_router(folder: Path, behind: Upstreams) -> Iterator[Served]:
    """A router for each upstream, since it doesn't route by model; the one not asked sits idle."""
    with (
        _sglang_router(folder / "whole.log", behind.whole) as whole,
        _sglang_router(folder / "stream.log", behind.stream) as stream,
    ):
        yield Served(whole, stream)


@contextlib.contextmanager
def _sglang_router(log: Path, worker: str) -> Iterator[str]:
    port = free_port()
    command = [str(VENV / "bin" / "python"), "-m", "sglang_router.launch_router", "--worker-urls", worker]
    command += ["--host", HOST, "--port", str(port), "--policy", "round_robin", "--log-level", "warn"]
    command += ["--prometheus-host", HOST, "--prometheus-port", str(free_port())]
    with running(command, log, port=port, ready_path="/readiness", env=OFFLINE):
        yield f"http://{HOST}:{port}"


@contextlib.contextmanager
def serve_litellm(folder: Path, behind: Upstreams) -> Iterator[Served]:
    """LiteLLM's proxy with one worker, no key, no database, no guardrail."""
    port = free_port()
    models = [_litellm_model(WHOLE_MODEL, behind.whole), _litellm_model(STREAM_MODEL, behind.stream)]
    config = folder / "litellm.yaml"
    config.write_text(yaml.safe_dump({"model_list": models}), encoding="utf-8")
    command = [str(VENV / "bin" / "litellm"), "--config", str(config), "--host", HOST, "--port", str(port)]
    command += ["--num_workers", "1", "--telemetry", "False"]
    with running(command, folder / "litellm.log", port=port, ready_path="/health/liveliness", env=OFFLINE, cwd=folder):
        url = f"http://{HOST}:{port}"
        yield Served(url, url)


def _litellm_model(name: str, url: str) -> dict[str, object]:
    return {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_base": f"{url}/v1", "api_key": "-"}}


DOES = f"key, limits, vouchers, both scans with {TERMS:,} terms, label, committed record, ledger and audit"
FLOOR = Candidate("upstream", "nothing in between", serve_upstream)
CANDIDATES = (
    FLOOR,
    Candidate("opcgate", f"{DOES}; 2 workers", partial(serve_opcgate, workers=2)),
    Candidate("opcgate-1", f"{DOES}; 1 worker", partial(serve_opcgate, workers=1)),
    Candidate("sglang-router", "routes only", serve_sglang_router, "sglang-router"),
    Candidate("litellm", "routes only, 1 worker, no key", serve_litellm, "litellm"),
)


def set_up() -> None:
    """Make `.venv-bench` from its lock, unless it is there already. Raises BenchError."""
    if _stamp().is_file() and _stamp().read_text() == _digest():
        return
    print(f"making {VENV.name} from {LOCK.relative_to(ROOT)}; a minute or two. 正在安装对比网关。", flush=True)
    venv.create(VENV, with_pip=True, symlinks=True, clear=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps"]
    done = subprocess.run([*pip, "-r", str(LOCK)], capture_output=True, text=True, timeout=1800, check=False)  # noqa: S603
    if done.returncode:
        raise BenchError(f"installing {LOCK.name} failed: {done.stderr.strip()[-600:]}")
    _stamp().write_text(_digest())


def check_set_up() -> None:
    """Raises BenchError when `.venv-bench` is missing or older than its lock."""
    if not _stamp().is_file() or _stamp().read_text() != _digest():
        raise BenchError(f"{VENV.name} is missing or old; run `python -m loadtests.bench_gateway --setup`. 请先安装。")


def version_of(package: str) -> str:
    """A package's version in `.venv-bench`."""
    site = [str(one) for one in VENV.glob("lib/python3*/site-packages")]
    found = next(iter(importlib.metadata.distributions(name=package, path=site)), None)
    return found.version if found else "?"


def _stamp() -> Path:
    return VENV / "bench-setup.stamp"


def _digest() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()

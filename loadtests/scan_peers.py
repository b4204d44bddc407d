"""LLM Guard's comparable scanners, which the scanning of texts is measured beside.

LLM Guard lives in `.venv-bench-scan`, made from `configs/locks/bench-scan.txt`, since it pins other versions.
"""

import json
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

from loadtests.children import BenchError

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-bench-scan"
LOCK = ROOT / "configs" / "locks" / "bench-scan.txt"

_LLM_GUARD = """
import json, logging, sys, timeit
import structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
from llm_guard.input_scanners import BanSubstrings, InvisibleText
from llm_guard.input_scanners.ban_substrings import MatchType
given = json.load(sys.stdin)
ban = BanSubstrings(substrings=given["terms"], match_type=MatchType.STR, case_sensitive=False, redact=False)
unseen = InvisibleText()
assert ban.scan("x" + given["terms"][0])[1] is False, "BanSubstrings must find a term"
def fastest(run, number):
    return min(timeit.repeat(run, number=number, repeat=3)) / number * 1e6
json.dump({
    "BanSubstrings": fastest(lambda: ban.scan(given["text"]), 2),
    "InvisibleText": fastest(lambda: unseen.scan(given["text"]), 200),
}, sys.stdout)
"""


def set_up() -> None:
    """Make `.venv-bench-scan` from its lock, unless it is there already. Raises BenchError."""
    if (VENV / "made").exists():
        return
    print(f"making {VENV.name} from {LOCK.name}; some minutes. 正在安装对比扫描器。", flush=True)
    venv.create(VENV, with_pip=True, clear=True)
    done = subprocess.run([VENV / "bin" / "pip", "install", "--no-deps", "-q", "-r", LOCK])  # noqa: S603 - our own lock
    if done.returncode:
        raise BenchError(f"could not install {LOCK.name}; see the lines above")
    (VENV / "made").touch()


def llm_guard(text: str, terms: Sequence[str]) -> dict[str, float]:
    """Microseconds that LLM Guard's scanners take for a text; empty where it is not set up."""
    python = VENV / "bin" / "python"
    if not python.exists():
        return {}
    done = subprocess.run(  # noqa: S603 - our own environment
        [python, "-c", _LLM_GUARD],
        input=json.dumps({"text": text, "terms": list(terms)}),
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise BenchError(f"LLM Guard did not run: {done.stderr.strip().splitlines()[-1:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures

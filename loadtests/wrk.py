"""The load generator `wrk`: one run, and what its report says."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench_texts import VARIED
from loadtests.children import BenchError

_UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}


class NoAnswer(BenchError):
    """Not one answer came: what is loaded hangs, or the machine stood still for the whole time."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of wrk. Latencies are of whole answers, in microseconds; `errors` are answers that don't count."""

    requests: int
    per_second: float
    p50_us: float
    p99_us: float
    errors: int


def write_script(path: Path, body: str, key: str | None) -> None:
    """The request as wrk's Lua wants it, another number in each."""
    before, after = body.split(VARIED)
    lines = ['wrk.method = "POST"', 'wrk.headers["content-type"] = "application/json"', "local number = 0"]
    if key is not None:
        lines.append(f'wrk.headers["authorization"] = "Bearer {key}"')
    lines += [
        f"local before, after = [==[{before}]==], [==[{after}]==]",
        "request = function()",
        "  number = number + 1",
        "  return wrk.format(nil, nil, nil, before .. number .. after)",
        "end",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_wrk(wrk: str, url: str, script: Path, *, connections: int, seconds: int) -> Sample:
    """Load `url` for so many seconds. Raises NoAnswer, or BenchError when wrk fails."""
    # One thread is enough for every proxy here, and leaves the other cores to what is measured.
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s", str(script), url]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise BenchError(f"wrk did not end within {seconds + 60} s") from None
    if done.returncode:
        raise BenchError(f"wrk failed: {(done.stderr or done.stdout).strip()[-300:]}")
    return parse_report(done.stdout)


def parse_report(text: str) -> Sample:
    """Read wrk's report. Raises NoAnswer when it counts none."""
    requests = int(_found(r"(\d+) requests in ", text))
    if requests == 0:
        raise NoAnswer("no answer came within the time")
    return Sample(
        requests=requests,
        per_second=float(_found(r"Requests/sec:\s+([\d.]+)", text)),
        p50_us=_percentile(50, text),
        p99_us=_percentile(99, text),
        errors=_errors(text),
    )


def _percentile(percent: int, text: str) -> float:
    number, unit = _groups(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m|h)\s*$", text)
    return float(number) * _UNITS[unit]


def _errors(text: str) -> int:
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    return sum(int(one) for match in (refused, broken) if match for one in match.groups())


def _found(pattern: str, text: str) -> str:
    return _groups(pattern, text)[0]


def _groups(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise BenchError(f"wrk's report has nothing like /{pattern}/: {text.strip()[-300:]}")
    return match.groups()

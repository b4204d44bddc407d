"""From samples to a table: medians over rounds, and what a gateway adds to the floor of the same round."""

import dataclasses
import json
import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from loadtests.bench_texts import EVENTS
from loadtests.bench_upstream import Tools
from loadtests.peers import FLOOR, ROOT, Candidate, version_of
from loadtests.wrk import Sample


@dataclass(frozen=True, slots=True)
class Load:
    """One way to load a candidate."""

    name: str
    model: str
    streamed: bool
    connections: int


@dataclass(frozen=True, slots=True)
class Round:
    """What one start of a candidate gave: a sample per load, events with text per stream, committed records."""

    samples: dict[str, Sample]
    events: int
    records: int | None

    def in_short(self) -> str:
        """One line for whoever watches."""
        parts = [f"{name} {one.per_second:.0f}/s p50 {one.p50_us / 1000:.2f} ms" for name, one in self.samples.items()]
        return ", ".join(parts)


@dataclass(slots=True)
class Results:
    """Every sample so far. Rounds of all candidates stand in the same order."""

    candidates: list[Candidate]
    loads: tuple[Load, ...]
    seconds: int
    rounds: dict[str, list[Round]] = field(init=False)
    failures: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rounds = {one.name: [] for one in self.candidates}


@dataclass(frozen=True, slots=True)
class Spread:
    """A median over rounds with its least and greatest value."""

    median: float
    least: float
    greatest: float


def over_rounds(rounds: Sequence[Round], value: Callable[[Round], float]) -> Spread:
    """The spread of one value of each round."""
    values = [value(one) for one in rounds]
    return Spread(median(values), min(values), max(values))


def added(rounds: Sequence[Round], floor: Sequence[Round], value: Callable[[Round], float]) -> Spread:
    """The spread of what each round adds to the floor's same round."""
    differences = [value(one) - value(base) for one, base in zip(rounds, floor, strict=True)]
    return Spread(median(differences), min(differences), max(differences))


def summary(results: Results, name: str) -> dict[str, Spread]:
    """The figures of one candidate. Latencies are in microseconds, at one connection, not streamed."""
    rounds, floor = results.rounds[name], results.rounds[FLOOR.name]
    return {
        "p50_us": over_rounds(rounds, lambda one: one.samples["one"].p50_us),
        "p99_us": over_rounds(rounds, lambda one: one.samples["one"].p99_us),
        "added_p50_us": added(rounds, floor, lambda one: one.samples["one"].p50_us),
        "added_p99_us": added(rounds, floor, lambda one: one.samples["one"].p99_us),
        "requests_per_second": over_rounds(rounds, lambda one: one.samples["many"].per_second),
        "streams_per_second": over_rounds(rounds, lambda one: one.samples["streamed"].per_second),
    }


def describe_machine(tools: Tools, candidates: list[Candidate]) -> dict[str, Any]:
    """What the figures depend on."""
    versions = {"python": platform.python_version()}
    versions |= {one.package: version_of(one.package) for one in candidates if one.package}
    versions |= {
        "nginx": _said([tools.nginx, "-v"]).rpartition("/")[2],
        "wrk": _said([tools.wrk, "-v"]).split()[1],
        "node": _said([tools.node, "--version"]).removeprefix("v"),
    }
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "load_before": round(os.getloadavg()[0], 2),
        "commit": _said(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]) or "?",
        "versions": versions,
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _said(command: list[str]) -> str:
    """What a program prints about itself, on whichever stream, with whichever exit status."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except OSError:
        return "? ?"
    return (done.stdout or done.stderr).strip()


def markdown(machine: dict[str, Any], results: Results) -> str:
    """The table with what it needs to be read."""
    many, streamed = results.loads[1].connections, results.loads[2].connections
    rounds = len(results.rounds[FLOOR.name])
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"{machine['date']}; {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; load before "
        f"{machine['load_before']}; opcgate {machine['commit']}; {versions}.",
        "",
        f"Median of {rounds} rounds of {results.seconds} s each (least to greatest); load generator, upstream and "
        "gateway share the cores.",
        "Added latency is against the upstream alone in the same round, at 1 connection, not streamed.",
        "",
        f"| gateway | what it does | p50 | added p50 | added p99 | requests/s, {many} connections | "
        f"streams/s of {EVENTS} events, {streamed} connections | events a client sees |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(results, one) for one in results.candidates),
    ]
    return "\n".join(lines)


def _row(results: Results, candidate: Candidate) -> str:
    if candidate.name in results.failures:
        return f"| {candidate.name} | failed: {results.failures[candidate.name]} | | | | | | |"
    figures = summary(results, candidate.name)
    is_floor = candidate.name == FLOOR.name
    cells = [
        candidate.name,
        candidate.does,
        _milliseconds(figures["p50_us"]),
        "-" if is_floor else _milliseconds(figures["added_p50_us"]),
        "-" if is_floor else _milliseconds(figures["added_p99_us"]),
        _rate(figures["requests_per_second"]),
        _rate(figures["streams_per_second"]),
        str(results.rounds[candidate.name][-1].events),
    ]
    return f"| {' | '.join(cells)} |"


def _milliseconds(spread: Spread) -> str:
    return f"{spread.median / 1000:.2f} ms ({spread.least / 1000:.2f} to {spread.greatest / 1000:.2f})"


def _rate(spread: Spread) -> str:
    digits = 0 if spread.median >= 100 else 1
    return f"{spread.median:,.{digits}f} ({spread.least:,.{digits}f} to {spread.greatest:,.{digits}f})"


def as_json(machine: dict[str, Any], results: Results) -> str:
    """Everything, every sample of every round included."""
    done = [one.name for one in results.candidates if one.name not in results.failures]
    document = {
        "machine": machine,
        "seconds": results.seconds,
        "loads": [dataclasses.asdict(one) for one in results.loads],
        "summary": {
            name: {key: dataclasses.asdict(value) for key, value in summary(results, name).items()} for name in done
        },
        "rounds": {name: [dataclasses.asdict(one) for one in rounds] for name, rounds in results.rounds.items()},
        "failures": results.failures,
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"

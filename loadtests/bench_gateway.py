"""What a gateway costs: `python -m loadtests.bench_gateway` measures opcgate beside others, over a fake upstream.

Round after round, each candidate is started alone, asked once whether it answers right, and loaded with wrk;
the upstream alone is the floor of the same round. Everything listens on loopback only.
"""

import argparse
import contextlib
import http.client
import json
import os
import signal
import sqlite3
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from loadtests.bench_report import Load, Results, Round, as_json, describe_machine, markdown
from loadtests.bench_texts import ANSWER, VARIED, request_body
from loadtests.bench_upstream import Tools, Upstreams, find_tools, upstreams
from loadtests.children import BenchError
from loadtests.peers import CANDIDATES, FLOOR, STREAM_MODEL, WHOLE_MODEL, Candidate, Served, check_set_up, set_up
from loadtests.wrk import NoAnswer, Sample, run_wrk, write_script

PATH = "/v1/chat/completions"
WARM_UP_SECONDS = 1


def main() -> int:
    """Measure and print the table, or say in one line what is missing."""
    options = _options()
    os.environ.pop("OPCGATE_DATABASE_URL", None)  # a developer's own database is not for this
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped on the way out
    try:
        if options.setup:
            set_up()
            return 0
        tools = find_tools()
        candidates = _chosen(options.only)
        if any(one.package for one in candidates):
            check_set_up()
        machine = describe_machine(tools, candidates)
        results = measure(candidates, tools, _loads(options.connections), options.rounds, options.seconds)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(markdown(machine, results))
    if options.json:
        options.json.write_text(as_json(machine, results), encoding="utf-8")
    return 1 if results.failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_gateway", description=main.__doc__)
    parser.add_argument("--setup", action="store_true", help="make .venv-bench with the other gateways, and stop")
    parser.add_argument("--seconds", type=_positive, default=5, help="length of one measurement")
    parser.add_argument("--rounds", type=_positive, default=3, help="how often each candidate is measured")
    parser.add_argument("--connections", type=_positive, default=64, help="at once; half as many when streamed")
    parser.add_argument("--only", action="append", choices=[one.name for one in CANDIDATES], help="repeat for several")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _chosen(names: list[str] | None) -> list[Candidate]:
    """The candidates asked for; the floor is always among them, for the others are compared with it."""
    return [one for one in CANDIDATES if names is None or one.name in names or one is FLOOR]


def _loads(connections: int) -> tuple[Load, ...]:
    return (
        Load("one", WHOLE_MODEL, streamed=False, connections=1),
        Load("many", WHOLE_MODEL, streamed=False, connections=connections),
        Load("streamed", STREAM_MODEL, streamed=True, connections=max(1, connections // 2)),
    )


def measure(candidates: list[Candidate], tools: Tools, loads: tuple[Load, ...], rounds: int, seconds: int) -> Results:
    """Every round of every candidate. One that fails is left out from then on, and the reason is kept."""
    results = Results(candidates, loads, seconds)
    with tempfile.TemporaryDirectory(prefix="opcgate-bench-") as name, upstreams(tools, Path(name)) as behind:
        for number in range(rounds):
            for candidate in _turned(candidates, number):
                if candidate.name not in results.failures:
                    place = Path(name) / f"{candidate.name}-{number}"
                    place.mkdir()
                    _measure_one(candidate, behind, tools, place, results)
    return results


def _turned(candidates: list[Candidate], number: int) -> list[Candidate]:
    """Another first one in each round, so that nobody always comes after the same one."""
    shift = number % len(candidates)
    return candidates[shift:] + candidates[:shift]


def _measure_one(candidate: Candidate, behind: Upstreams, tools: Tools, place: Path, results: Results) -> None:
    try:
        with candidate.serve(place, behind) as served:
            measured = measure_round(served, tools.wrk, results.loads, place, results.seconds)
    except BenchError as error:
        if candidate is FLOOR:
            raise
        results.failures[candidate.name] = str(error)
        print(f"{candidate.name} failed: {error}", file=sys.stderr, flush=True)
        return
    results.rounds[candidate.name].append(measured)
    print(f"{candidate.name}: {measured.in_short()}", file=sys.stderr, flush=True)


def measure_round(served: Served, wrk: str, loads: tuple[Load, ...], place: Path, seconds: int) -> Round:
    """All loads on one running candidate. Raises BenchError when it answers wrong, or records too little."""
    samples: dict[str, Sample] = {}
    events = 0
    for load in loads:
        url = served.stream if load.streamed else served.whole
        body = request_body(load.model, stream=load.streamed)
        script = place / f"{load.name}.lua"
        write_script(script, body, served.key)
        events = check_answer(url, body, served.key, streamed=load.streamed)
        samples[load.name] = sample(wrk, url + PATH, script, load, seconds)
    records = _records(served.database) if served.database else None
    if records is not None and records < sum(one.requests for one in samples.values()):
        raise BenchError(f"only {records} requests are recorded as completed")
    return Round(samples, events, records)


def sample(wrk: str, url: str, script: Path, load: Load, seconds: int) -> Sample:
    """Warm up, then load. Raises BenchError when a request failed or, twice running, none was answered."""
    with contextlib.suppress(NoAnswer):
        run_wrk(wrk, url, script, connections=load.connections, seconds=WARM_UP_SECONDS)
    try:
        taken = run_wrk(wrk, url, script, connections=load.connections, seconds=seconds)
    except NoAnswer:  # seen rarely on virtual machines that pause; said, so that it can't hide a gateway that hangs
        print(f"bench: no answer under load '{load.name}', trying once more", file=sys.stderr, flush=True)
        taken = run_wrk(wrk, url, script, connections=load.connections, seconds=seconds)
    if taken.errors:
        raise BenchError(f"{taken.errors} of {taken.requests} requests failed under load '{load.name}'")
    return taken


def check_answer(url: str, body: str, key: str | None, *, streamed: bool) -> int:
    """Ask once; return how many events with text came. Raises BenchError when the text isn't the upstream's."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request("POST", PATH, body.replace(VARIED, "0").encode(), headers)
        response = connection.getresponse()
        payload = response.read().decode()
    try:
        texts = event_texts(payload) if streamed else [json.loads(payload)["choices"][0]["message"]["content"]]
    except (ValueError, LookupError, TypeError):
        texts = []
    if response.status != 200 or "".join(texts) != ANSWER:
        raise BenchError(f"wrong answer, status {response.status}: {payload[:200]}")
    return len(texts)


def event_texts(payload: str) -> list[str]:
    """The texts of a stream's events. Raises ValueError when the stream does not end as it should."""
    events = [line.removeprefix("data:").strip() for line in payload.splitlines() if line.startswith("data:")]
    if not events or events.pop() != "[DONE]":
        raise ValueError("no [DONE]")
    choices = [choice for event in events for choice in json.loads(event)["choices"]]
    return [choice["delta"]["content"] for choice in choices if choice["delta"].get("content")]


def _records(database: Path) -> int:
    """How many requests are committed as completed and without finding, read from the file itself."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        query = "SELECT count(*) FROM requests WHERE outcome = 'completed' AND findings = '[]'"
        return int(connection.execute(query).fetchone()[0])


if __name__ == "__main__":
    sys.exit(main())

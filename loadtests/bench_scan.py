"""What scanning costs, beside a plain Aho-Corasick pass, Presidio's own recognizers and LLM Guard, in one run.

`python -m loadtests.bench_scan` prints a markdown table. Every figure is processor time and the fastest of many
repeats, because whatever else runs on the machine can only add to it.
"""

import argparse
import gc
import json
import random
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path

import ahocorasick_rs

from compliance.build import build_pipeline, shipped_settings
from compliance.gate import Gate
from compliance.pipeline import Pipeline
from compliance.quality.baselines import PresidioAsItComes
from compliance.unicode import Folder, fold
from loadtests import scan_peers
from loadtests.scan_texts import CLEAN, ENGLISH, FOUND, random_terms, write_terms

TERMS = 20_000
CHINESE = (CLEAN * 2)[:200]
ENGLISH_200 = (ENGLISH * 3)[:200]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=30, help="repeats of each figure; the fastest counts")
    arguments.add_argument("--foldings", default="all", help="disguises of the random terms, as in a lexicon's column")
    arguments.add_argument("--texts", type=Path, default=Path("tests/cases/ordinary_business.jsonl"), help="new texts")
    arguments.add_argument("--setup", action="store_true", help="make .venv-bench-scan with LLM Guard, and stop")
    arguments.add_argument("--no-peers", action="store_true", help="leave Presidio and LLM Guard out")
    given = arguments.parse_args()
    if given.setup:
        scan_peers.set_up()
        return
    terms = random_terms(TERMS)
    pipeline = with_terms(terms, given.foldings)
    pipeline.warm_up()
    gc.collect()
    gc.freeze()  # as the gateway does after its start
    print(
        f"| what ({TERMS:,} random terms with foldings `{given.foldings}`, and the shipped rules) | cost |\n|---|---|"
    )
    for name, microseconds in figures(pipeline, terms, given.repeats):
        print(f"| {name} | {readable(microseconds)} |", flush=True)
    texts = [json.loads(line)["text"] for line in given.texts.read_text(encoding="utf-8").splitlines()]
    for name, microseconds in never_seen(pipeline, texts):
        print(f"| {name} | {readable(microseconds)} |", flush=True)
    for name, cost in starts():
        print(f"| {name} | {cost} |", flush=True)
    if not given.no_peers:
        for name, microseconds in peers(terms, given.repeats):
            print(f"| {name} | {readable(microseconds)} |", flush=True)


def with_terms(terms: list[str], foldings: str) -> Pipeline:
    """The shipped rules and a long list of terms, without those that the clean texts happen to hold in disguise."""
    settings = shipped_settings().model_copy(update={"deadline_seconds": 60})  # a busy machine is no fault here
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(5):
            path = write_terms(Path(folder), terms, foldings)
            pipeline = build_pipeline(settings.model_copy(update={"lexicons": (*settings.lexicons, path)}))
            texts = (CLEAN * 2, ENGLISH * 3)
            found = {one.rule for text in texts for one in pipeline.scan(text, "output").findings}
            hit = {int(rule.partition(":")[2]) - 2 for rule in found if rule.startswith(path.name)}
            if not hit:
                return pipeline
            terms = [term for number, term in enumerate(terms) if number not in hit]
    raise SystemExit("bench_scan: the clean texts still hold random terms")


def figures(pipeline: Pipeline, terms: list[str], repeats: int) -> Iterator[tuple[str, float]]:
    """Every figure in microseconds, the floor first."""
    found = (CLEAN[: 200 - len(FOUND)] + FOUND)[:200]
    floor = ahocorasick_rs.AhoCorasick(terms)
    folded = fold(CHINESE)
    yield (
        "plain ahocorasick_rs pass, 200 Chinese characters",
        fastest(lambda: floor.find_matches_as_indexes(folded), repeats),
    )
    yield "Unicode stage alone, 200 clean Chinese characters", fastest(lambda: Folder().feed(CHINESE), repeats)
    for scanner in pipeline.scanners("output"):
        alone = fastest(lambda scanner=scanner: Gate([scanner], "text", 9, survey=True).feed_whole(CHINESE), repeats)  # type: ignore[misc]
        yield f"with `{scanner.name}` alone, 200 clean Chinese characters", alone
    for direction in ("output", "prompt"):
        whole = fastest(lambda direction=direction: pipeline.scan(CHINESE, direction), repeats)  # type: ignore[misc]
        yield f"whole pipeline, {direction}, 200 clean Chinese characters", whole
    yield "whole pipeline, 200 clean English characters", fastest(lambda: pipeline.scan(ENGLISH_200, "output"), repeats)
    count = len(pipeline.scan(found, "output").findings)
    yield (
        f"whole pipeline, 200 characters with {count} findings",
        fastest(lambda: pipeline.scan(found, "output"), repeats),
    )
    for size in (1, 2, 3):
        yield (
            f"per streamed delta of {size} clean Chinese character{'s'[: size > 1]}",
            per_delta(pipeline, CHINESE, size, repeats),
        )
    yield "per streamed delta of 4 English characters", per_delta(pipeline, ENGLISH_200, 4, repeats)
    megabyte = (CLEAN * (1_000_000 // len(CLEAN.encode()) + 1)).encode()[:999_999].decode(errors="ignore")
    yield f"a document of 1 MB ({len(megabyte):,} characters)", fastest(lambda: pipeline.scan(megabyte, "output"), 3)
    for size in (200, 2_000, 20_000, 200_000, 2_000_000):
        text = (CLEAN * (size // len(CLEAN) + 1))[:size]
        cost = fastest(lambda text=text: pipeline.scan(text, "output"), 3)  # type: ignore[misc]
        yield f"whole pipeline, {size:,} characters ({cost / size * 200:.0f} µs per 200)", cost


def per_delta(pipeline: Pipeline, text: str, size: int, repeats: int) -> float:
    deltas = [text[at : at + size] for at in range(0, len(text), size)]

    def stream() -> None:
        gate = pipeline.gate()
        for delta in deltas:
            gate.feed(delta)
        gate.flush()

    return fastest(stream, repeats) / len(deltas)


def never_seen(pipeline: Pipeline, texts: list[str]) -> Iterator[tuple[str, float]]:
    """Deltas of texts that the process has not seen, some of them with findings: processor time, one pass each."""
    rng = random.Random(1)
    half = len(texts) // 2
    what = "per delta of 1 to 3 characters, ordinary sentences"
    yield f"{what}: the first {half:,} of a process", per_new_delta(pipeline, texts[:half], rng)
    yield f"{what}: {len(texts) - half:,} others after them", per_new_delta(pipeline, texts[half:], rng)
    yield f"{what}: the same ones, cut otherwise", per_new_delta(pipeline, texts[half:], rng)


def per_new_delta(pipeline: Pipeline, texts: list[str], rng: random.Random) -> float:
    streams = [list(cut(text, rng)) for text in texts]
    began = time.process_time()
    for deltas in streams:
        gate = pipeline.gate()
        for delta in deltas:
            gate.feed(delta)
        gate.flush()
    return (time.process_time() - began) / sum(map(len, streams)) * 1e6


def cut(text: str, rng: random.Random) -> Iterator[str]:
    at = 0
    while at < len(text):
        size = rng.choice((1, 2, 2, 3))
        yield text[at : at + size]
        at += size


def starts() -> Iterator[tuple[str, str]]:
    """Start-up and memory, each in a process of its own; the fastest of three."""
    for terms, foldings in ((50_000, ""), (TERMS, "all")):
        command = [sys.executable, "-m", "loadtests.scan_start", f"--terms={terms}", f"--foldings={foldings}"]
        runs = [json.loads(subprocess.check_output(command)) for _ in range(3)]  # noqa: S603 - our own module
        best = min(runs, key=lambda run: float(run["build_s"]))
        yield (
            f"building a pipeline with {terms:,} terms, foldings `{foldings or 'default'}`",
            f"{best['build_s']:.2f} s (imports {best['import_s']:.2f} s), {best['memory_mb']:.0f} MB",
        )


def peers(terms: list[str], repeats: int) -> Iterator[tuple[str, float]]:
    presidio = PresidioAsItComes()
    scan = fastest(lambda: presidio.find(CHINESE, ()), min(repeats, 10))
    yield "Presidio's predefined recognizers, blank spaCy zh, 200 clean", scan
    for scanner, microseconds in scan_peers.llm_guard(CHINESE, terms).items():
        what = f", {len(terms):,} terms" if scanner == "BanSubstrings" else ""
        yield f"LLM Guard's {scanner}{what}, 200 clean", microseconds


def fastest(run: Callable[[], object], repeats: int) -> float:
    """The fastest repeat of `run`, in microseconds a call."""
    once = min(timeit.repeat(run, number=1, repeat=3))
    number = max(1, min(500, int(0.01 / max(once, 1e-9))))
    return min(timeit.repeat(run, timer=time.process_time, number=number, repeat=repeats)) / number * 1e6


def readable(microseconds: float) -> str:
    return f"{microseconds:.1f} µs" if microseconds < 10_000 else f"{microseconds / 1000:.0f} ms"


if __name__ == "__main__":
    main()

"""How long a pipeline with a long word list takes to build, and its memory: `python -m loadtests.scan_start`.

A process of its own, so that nothing else is in the figures. Prints one JSON object; where other
things run too, the seconds of CPU are what to compare.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--terms", type=int, default=50_000)
    arguments.add_argument("--foldings", default="", help="as in a lexicon's column; empty: the default ones")
    given = arguments.parse_args()
    started = time.perf_counter()
    from compliance.build import build_pipeline, shipped_settings

    imported = time.perf_counter()
    from loadtests.scan_texts import random_terms, write_terms

    with tempfile.TemporaryDirectory() as folder:
        path = write_terms(Path(folder), random_terms(given.terms), given.foldings)
        settings = shipped_settings()
        settings = settings.model_copy(update={"lexicons": (*settings.lexicons, path)})
        begun, begun_cpu = time.perf_counter(), time.process_time()
        build_pipeline(settings).scan("你好", "output")
    figures = {
        "import_s": imported - started,
        "build_s": time.perf_counter() - begun,
        "build_cpu_s": time.process_time() - begun_cpu,
        "memory_mb": highest_memory_kb() / 1024,
    }
    print(json.dumps(figures))


def highest_memory_kb() -> int:
    """The most memory this process has had; `ru_maxrss` would count what the process that started it had."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()

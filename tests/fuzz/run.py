"""Coverage-guided fuzzing with atheris: `python -m tests.fuzz.run TARGET [--seconds 60] [libFuzzer options]`.

Targets: unicode, gate, endless. Inputs that reached new code are kept in `.state/fuzz/TARGET` for the next run; a
failing one is written to `.state/fuzz/TARGET-crash-*`: give that file as an argument to run it again. Needs the
package `atheris` (Linux, Python 3.11), which the tests do not.
"""

import argparse
import random
import sys
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["compliance"]):
    from tests.fuzz import targets
    from tests.fuzz.texts import put_together

from compliance.verdict import Surface


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("target", choices=sorted(TARGETS))
    arguments.add_argument("--seconds", type=int, default=60, help="how long to run")
    given, rest = arguments.parse_known_args()
    if given.target != "unicode":
        targets.shipped()
    options = [
        "-len_control=0",
        f"-max_total_time={given.seconds}",
        "-timeout=30",
        "-max_len=512",
        "-rss_limit_mb=3000",
        *rest,
    ]
    if not any(not one.startswith("-") for one in rest):
        options += [f"-artifact_prefix=.state/fuzz/{given.target}-", _corpus(Path(".state/fuzz") / given.target)]
    atheris.Setup([sys.argv[0], *options], lambda data: TARGETS[given.target](atheris.FuzzedDataProvider(data)))
    atheris.Fuzz()


def _corpus(folder: Path) -> str:
    """The folder of inputs to begin with: from nothing the fuzzer would try texts of one token for long."""
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        rng = random.Random()
        for number in range(64):
            (folder / f"seed-{number}").write_bytes(rng.randbytes(rng.randint(20, 200)))
    return str(folder)


def _surface(data: atheris.FuzzedDataProvider) -> Surface:
    return "json" if data.ConsumeBool() else "text"


def _cuts(data: atheris.FuzzedDataProvider) -> list[int]:
    return [data.ConsumeIntInRange(0, 400) for _ in range(data.ConsumeIntInRange(0, 12))]


def _text(data: atheris.FuzzedDataProvider) -> str:
    free = data.ConsumeUnicode(data.ConsumeIntInRange(0, 24))
    return put_together([data.ConsumeUInt(2) for _ in range(data.ConsumeIntInRange(0, 24))], free) or free


def _unicode(data: atheris.FuzzedDataProvider) -> None:
    surface, cuts = _surface(data), _cuts(data)
    targets.folding_pieces_folds_the_whole(_text(data), cuts, surface)


def _gate(data: atheris.FuzzedDataProvider) -> None:
    surface, cuts = _surface(data), _cuts(data)
    targets.a_stream_lets_out_what_the_whole_text_does(_text(data), cuts, surface)


def _endless(data: atheris.FuzzedDataProvider) -> None:
    surface = _surface(data)
    targets.an_endless_text_is_not_hoarded(_text(data)[:32], surface)


TARGETS: dict[str, Callable[[atheris.FuzzedDataProvider], None]] = {
    "unicode": _unicode,
    "gate": _gate,
    "endless": _endless,
}


if __name__ == "__main__":
    main()

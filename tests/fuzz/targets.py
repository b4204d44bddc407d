"""What must hold for any text, however it is cut: asked by hypothesis in the tests and by atheris in `run.py`."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from compliance.build import build_rules, shipped_settings
from compliance.gate import Release
from compliance.pipeline import Pipeline
from compliance.policies.policy import Policy
from compliance.unicode import Folder
from compliance.verdict import Action, Finding, Surface

ENDLESS = 20_000
MOST_HELD = 8_192
"""More than this no gate may hold back of a text that goes on and on."""


def cut(text: str, cuts: Sequence[int]) -> list[str]:
    """The text in pieces, cut at these places (counted round the end)."""
    places = sorted({place % (len(text) + 1) for place in cuts} | {0, len(text)})
    return [text[start:end] for start, end in pairwise(places)]


def folding_pieces_folds_the_whole(text: str, cuts: Sequence[int], surface: Surface) -> None:
    """Folding in pieces gives the same characters with the same raw spans, which are valid and in order."""
    whole = _folded([text], surface)
    assert _folded(cut(text, cuts), surface) == whole
    last = 0
    for _, start, end in whole:
        assert last <= start < end <= len(text)
        last = start


def _folded(chunks: Sequence[str], surface: Surface) -> list[tuple[str, int, int]]:
    folder = Folder(surface)
    found: list[tuple[str, int, int]] = []
    raw_end = 0
    for number, chunk in enumerate([*chunks, ""]):
        piece = folder.feed(chunk, final=number == len(chunks))
        if piece.starts is None or piece.ends is None:
            first = piece.raw_end - len(piece.text)
            found += [(char, first + at, first + at + 1) for at, char in enumerate(piece.text)]
        else:
            found += zip(piece.text, piece.starts, piece.ends, strict=True)
        assert piece.raw_end >= raw_end
        raw_end = piece.raw_end
    assert raw_end == sum(map(len, chunks))
    return found


@dataclass(frozen=True, slots=True)
class Rules:
    policy: Policy
    pipeline: Pipeline


@cache
def shipped() -> Rules:
    """The shipped rules, ready; with a deadline that a slow machine does not reach."""
    settings = shipped_settings().model_copy(update={"deadline_seconds": 60.0})
    effective = build_rules(settings).rules()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        effective.pipeline.warm_up()
    return Rules(effective.policy, effective.pipeline)


def a_stream_lets_out_what_the_whole_text_does(text: str, cuts: Sequence[int], surface: Surface) -> None:
    """The same text goes out however it is cut, and nothing of a masked or stopped span is in it."""
    rules = shipped()
    whole = rules.pipeline.scan(text, "output", surface=surface)
    assert whole.released == allowed(text, whole.findings, rules.policy.placeholder)
    gate = rules.pipeline.gate("output", surface=surface)
    releases = [*(gate.feed(chunk) for chunk in cut(text, cuts)), gate.flush()]
    assert "".join(one.text for one in releases) == whole.released
    _check_findings(whole.findings, releases)


def allowed(text: str, findings: Sequence[Finding], placeholder: Callable[[str], str]) -> str:
    """What may go out, worked out from the findings alone: a second reading of the rules in docs/compliance.md."""
    out = ""
    at = masked = 0
    for one in sorted(findings, key=lambda one: (one.start, -one.end)):
        if one.action.stops:
            return out + text[at : one.start]
        if one.action is Action.mask:
            if one.start >= masked:
                out += text[at : one.start] + placeholder(one.type)
            masked = max(masked, one.end)
            at = max(at, masked)
    return out + text[at:]


def _check_findings(whole: Sequence[Finding], releases: Sequence[Release]) -> None:
    """A stream reports what the whole text does, up to where it is stopped."""
    found = {finding for release in releases for finding in release.findings}
    assert found <= set(whole)
    if not any(release.blocked for release in releases):
        assert found == set(whole)


def an_endless_text_is_not_hoarded(unit: str, surface: Surface) -> None:
    """However a text repeats itself without end, what is held back stays bounded."""
    if not unit:
        return
    gate = shipped().pipeline.gate("output", surface=surface)
    chunk = unit * (256 // len(unit) + 1)
    for _ in range(ENDLESS // len(chunk)):
        if gate.feed(chunk).blocked:
            return
        assert gate.held <= MOST_HELD, gate.held
    gate.flush()

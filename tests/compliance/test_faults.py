"""Fail closed: a scanner that raises or takes too long refuses the text, and the error quotes none of it."""

import time

import pytest

from compliance.deadline import Deadline
from compliance.matches import Match
from compliance.pii.catalog import DETECTORS
from compliance.pii.scanner import PiiScanner
from compliance.verdict import ScannerError
from tests.compliance.helpers import keyword_scanner, of_scanners

SECRET = "秘密13800138000"


class FaultyScanner:
    """Raises or sleeps when it sees a certain character."""

    name = "faulty"
    reach = 0

    def __init__(self, sleep_s: float = 0.0) -> None:
        self.sleep_s = sleep_s

    def start(self) -> "FaultyScanner":
        return self

    def warm_up(self) -> None:
        """Nothing to load."""

    def advance(self, window: str, seen: int, _final: bool, _deadline: Deadline) -> tuple[list[Match], int]:
        if "秘" in window[seen:]:
            time.sleep(self.sleep_s)
            if not self.sleep_s:
                raise ValueError(f"cannot read {window}")
        return [], len(window)

    def forget(self, _count: int) -> None:
        """No positions are kept."""


@pytest.mark.parametrize("scanner", [FaultyScanner(), FaultyScanner(sleep_s=0.05)])
def test_a_fault_refuses_whole_texts_and_streams(scanner: FaultyScanner) -> None:
    made = of_scanners(keyword_scanner({"毒品": "mask"}), scanner, deadline_s=0.02)
    with pytest.raises(ScannerError, match="scanner faulty") as caught:
        made.scan(SECRET, "output")
    assert "秘" not in str(caught.value)
    assert caught.value.scanner == "faulty"
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None

    gate = made.gate()
    assert gate.feed("好").text == "好"
    with pytest.raises(ScannerError):
        gate.feed(SECRET)
    with pytest.raises(ScannerError):
        gate.feed("好")
    with pytest.raises(ScannerError):
        gate.flush()


def test_a_long_text_meets_the_deadline_between_blocks() -> None:
    made = of_scanners(FaultyScanner(sleep_s=0.02), deadline_s=0.1)
    began = time.monotonic()
    with pytest.raises(ScannerError, match="deadline"):
        made.scan("秘" * 100_000, "output")
    assert time.monotonic() - began < 1.0


def test_presidio_that_cannot_be_loaded_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    scanner = PiiScanner(DETECTORS, lambda _detector, _severity: None)

    def broken() -> None:
        raise ImportError("no presidio here")

    monkeypatch.setattr(scanner, "warm_up", broken)
    with pytest.raises(ScannerError, match="personal_info raised ImportError"):
        of_scanners(scanner).scan(SECRET, "output")


def test_cost_grows_linearly_with_length_for_hostile_texts(pipeline: object) -> None:
    """No pattern may backtrack without bound: a text eight times as long takes about eight times as long."""
    made = of_scanners(PiiScanner(DETECTORS, lambda _detector, _severity: None), deadline_s=60)
    made.scan("warm up 13800138000", "output")
    for piece in (
        "a.",
        "1 ",
        "a@",
        "a@a.",
        "6228 ",
        "浙江省市",
        "地址：区",
        "京A",
        "192.",
        "1-",
        "+86",
        "张",
        "010-",
        "广州路",
        "我是高",
    ):
        short, long = (_seconds(made, piece * (size // len(piece))) for size in (2_000, 16_000))
        assert long < max(short, 0.002) * 40, (piece, short, long)


def _seconds(made: object, text: str) -> float:
    began = time.thread_time()
    made.scan(text, "output")  # type: ignore[attr-defined]
    return time.thread_time() - began

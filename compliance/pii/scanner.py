"""The scanner of personal information: a pre-filter over all detectors, and Presidio's word on what it lets by."""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Protocol

from compliance.deadline import Deadline
from compliance.matches import Match, Meaning
from compliance.pii.catalog import REACH
from compliance.pii.detector import Detector
from compliance.pii.prefilter import PreFilter, compile_prefilter
from compliance.pii.slim_import import without
from compliance.verdict import Severity


class Judge(Protocol):
    """What the scanner asks of a Presidio recognizer: the span and severity of the value at a place."""

    def judge(self, window: str, start: int) -> tuple[int, int, Severity] | None: ...


class PiiScanner:
    """The detectors of one direction; immutable but for Presidio, which is loaded at the first candidate."""

    name = "personal_info"
    reach = REACH

    def __init__(self, detectors: Sequence[Detector], meaning: Callable[[Detector, Severity], Meaning | None]) -> None:
        self._detectors = tuple(detectors)
        self._prefilter = compile_prefilter(self._detectors)
        self._meaning = meaning
        self._judges: Mapping[Detector, Judge] | None = None
        self._lock = Lock()

    def start(self) -> "PiiScan":
        return PiiScan(self._prefilter, self._found_at)

    def warm_up(self) -> None:
        """Import Presidio, build the recognizers and compile the patterns; takes a second the first time."""
        with self._lock:
            if self._judges is None:
                for detector in self._detectors:
                    detector.warm_up()
                self._prefilter.places(" ", 0)  # makes its table
                with without("torch", "transformers"):
                    from compliance.pii.recognizers import recognizers_for

                self._judges = recognizers_for(self._detectors)

    def _found_at(self, detector: Detector, window: str, start: int, deadline: Deadline) -> Match | None:
        """What the detector's recognizer finds at this place; Presidio is not asked where no pattern fits."""
        if not detector.proposes(window, start):
            return None
        if self._judges is None:
            began = time.monotonic()
            self.warm_up()
            deadline.excuse(time.monotonic() - began)
        judged = self._judges[detector].judge(window, start) if self._judges else None
        if judged is None:
            return None
        meaning = self._meaning(detector, judged[2])
        return Match(judged[0], judged[1], meaning) if meaning else None


class PiiScan:
    """One stream's state: the places where a value has begun that more text may still change."""

    name = "personal_info"

    def __init__(self, prefilter: PreFilter, found_at: Callable[[Detector, str, int, Deadline], Match | None]) -> None:
        self._places = prefilter.places
        self._found_at = found_at
        self._growing: list[tuple[int, Detector]] = []

    def advance(self, window: str, seen: int, final: bool, deadline: Deadline) -> tuple[list[Match], int]:
        places = self._places(window, seen)
        if self._growing:
            places = [one for one in self._growing if one[1].may_follow(window, one[0])] + places
            self._growing = []
        if not places:
            return [], len(window)
        matches: list[Match] = []
        for start, detector in places:
            if not final and detector.may_grow(window, start):
                self._growing.append((start, detector))
            else:
                match = self._found_at(detector, window, start, deadline)
                deadline.check(self.name)
                if match is not None:
                    matches.append(match)
        return matches, min((start for start, _ in self._growing), default=len(window))

    def forget(self, count: int) -> None:
        self._growing = [(start - count, detector) for start, detector in self._growing]

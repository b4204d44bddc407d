"""Text in, verdict out: the scanners of both directions behind one door."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

from compliance.gate import Gate
from compliance.matches import Scanner
from compliance.policies.policy import SetAnswers
from compliance.verdict import Direction, Surface, Verdict, strictest


class Pipeline:
    """Built once by `build_pipeline`, immutable, shared by all threads and streams."""

    def __init__(
        self,
        version: str,
        scanners: Mapping[Direction, Sequence[Scanner]],
        deadline_s: float,
        *,
        enforce: bool = True,
        answers: SetAnswers | None = None,
        placeholder: Callable[[str], str] = lambda type_: f"[{type_}]",
    ) -> None:
        """Without `enforce` nothing is masked or stopped: a dry run, whose findings say what would have been.

        `answers` are what the action `replace` gives instead of the text; without them it only stops.
        `placeholder` is what stands in for a hidden span of a type.
        """
        self.version = version
        self.enforce = enforce
        self.answers = answers
        self.placeholder = placeholder
        self._scanners = {direction: tuple(compiled) for direction, compiled in scanners.items()}
        self._deadline_s = deadline_s
        self.scanner_names = {str(one): [scanner.name for scanner in found] for one, found in self._scanners.items()}

    def scan(
        self, text: str, direction: Direction, *, surface: Surface = "text", only: Collection[str] | None = None
    ) -> Verdict:
        """Judge a whole text: all its findings, and what a gate would release of it.

        `only` names the scanners that are to look at it; all of them do without.
        """
        scanners = self._scanners[direction]
        if only is not None:
            scanners = tuple(one for one in scanners if one.name in only)
        gate = Gate(scanners, surface, self._deadline_s, survey=True, enforce=self.enforce)
        whole = gate.feed_whole(text)
        return Verdict(strictest(whole.findings), whole.findings, whole.text, self.version)

    def gate(self, direction: Direction = "output", *, surface: Literal["text", "json"] = "text") -> Gate:
        """A fresh gate for one stream."""
        return Gate(self._scanners[direction], surface, self._deadline_s, enforce=self.enforce)

    def scanners(self, direction: Direction) -> tuple[Scanner, ...]:
        """The compiled scanners of one direction, for benchmarks and tests that run one alone."""
        return self._scanners[direction]

    def warm_up(self) -> None:
        """Load now what would otherwise be loaded at the first finding (Presidio takes a second)."""
        for scanners in self._scanners.values():
            for scanner in scanners:
                scanner.warm_up()

"""How long each stage of a request took. A mark costs a tenth of a microsecond, so every request has them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from time import perf_counter


@dataclass(slots=True)
class Stages:
    """When each stage began, in order; each ends where the next one begins, the last one at `end`.

    `upstream` is the time spent waiting for the node, `output_scan` that of scanning its answer, both in seconds.
    """

    began: float = field(default_factory=perf_counter)
    marks: list[tuple[str, float]] = field(default_factory=list)
    upstream: float = 0.0
    output_scan: float = 0.0

    def enter(self, name: str) -> None:
        """The stage of this name begins."""
        self.marks.append((name, perf_counter()))

    def end(self) -> None:
        """The last stage is over."""
        self.marks.append(("", perf_counter()))

    def spans(self) -> Iterator[tuple[str, float, float]]:
        """Name, start and end of each stage that is over, in seconds since the request began."""
        for (name, start), (_, end) in pairwise(self.marks):
            yield name, start - self.began, end - self.began

    def seconds(self, name: str) -> float:
        """How long a stage took; 0 when it was not reached."""
        return sum(end - start for one, start, end in self.spans() if one == name)

    def before_the_node(self) -> float:
        """What the gateway did before it asked a node, in seconds."""
        return sum(end - start for one, start, end in self.spans() if one not in ("answer", "settle"))

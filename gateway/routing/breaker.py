"""A circuit breaker: a node that keeps failing is left alone for a while, then asked once."""

from collections.abc import Callable
from typing import Literal

from configs.sections.routing import RoutingSettings

State = Literal["closed", "open", "half_open"]


class Breaker:
    """Closed: the node is asked. Open: it is not. Half open: one probe is under way, and decides.

    It starts open with no time to wait, since nothing is known of a node before its first probe. `clock` is
    monotonic, in seconds; `random` gives numbers from 0 to 1.
    """

    def __init__(self, settings: RoutingSettings, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self.state: State = "open"
        self._settings = settings
        self._clock = clock
        self._random = random
        self._failures = 0
        self._opened = 0
        self._until = clock()

    @property
    def wait_seconds(self) -> float:
        """How long until a probe may be made; 0 for now."""
        return max(0.0, self._until - self._clock()) if self.state == "open" else 0.0

    def answered(self) -> None:
        """A request was answered: nothing is held against the node any more."""
        self._failures = 0
        if self.state == "closed":
            self._opened = 0

    def failed(self, *, at_once: bool = False) -> None:
        """A request failed. Enough of them in a row open the breaker; `at_once` when there is no doubt."""
        self._failures += 1
        if self.state == "closed" and (at_once or self._failures >= self._settings.breaker_failures):
            self._open()

    def begin_probe(self) -> bool:
        """True when the caller is to probe the node now: its time is over and nobody else is at it."""
        if self.state == "half_open" or self.wait_seconds:
            return False
        if self.state == "open":
            self.state = "half_open"
        return True

    def probed(self, *, good: bool) -> None:
        """How the probe ended. A good one closes the breaker; only an answered request makes its next wait short."""
        if good:
            self.state = "closed"
            self._failures = 0
        else:
            self._open()

    def _open(self) -> None:
        base = min(self._settings.breaker_seconds * 2**self._opened, self._settings.breaker_longest_seconds)
        self._opened = min(self._opened + 1, 30)
        self._until = self._clock() + base * (0.75 + 0.5 * self._random())  # not all workers at the same moment
        self.state = "open"

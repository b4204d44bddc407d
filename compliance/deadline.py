"""The time that one scan may take. Checked between blocks, scanners and candidate values."""

import time

from compliance.verdict import ScannerError


class Deadline:
    """Counts from `restart`; a check that comes too late refuses the text.

    Python cannot interrupt a scanner inside one call, so every call is kept short instead: blocks of a
    bounded size, patterns of a bounded length, and a timeout on the one pattern that decides a value.
    """

    __slots__ = ("_seconds", "_until")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0

    def restart(self) -> None:
        self._until = time.monotonic() + self._seconds

    def check(self, scanner: str) -> None:
        if time.monotonic() > self._until:
            raise ScannerError(scanner, f"ran past the deadline of {self._seconds} s")

    def excuse(self, seconds: float) -> None:
        """Do not count time that was spent on loading."""
        self._until += seconds

"""Companies in English, from a legal form (Co., Ltd., Inc., LLC) backwards; folded text has no capitals, so where the
name begins is where a word of a sentence stands before it.
"""

import re

from compliance.entities.model import EntityModel

_FORM = re.compile(
    r"(?:[ ]?&)?[ ,](?:co\.?,? ?(?:ltd|limited)(?![a-z])\.?|pty\.? ltd(?![a-z])"
    r"|(?:inc|corp|corporation|incorporated|llc|llp|gmbh|plc|limited|ltd|s\.a|holdings|ventures)(?![a-z])(?:(?<=inc|ltd)\.)?"
    r"|(?:university|hospital|college|institute|bank|foundation|association|school|law firm|group)(?![a-z])"
    r"(?: of [a-z]+(?: [a-z]+(?=[,.;)\n]|$))?)?)"
)
_ALONE = re.compile(r"[ ,&](?:university|college|co\.?,|pty|inc|corp|llc|llp|gmbh|plc|limited|ltd|s\.a|holdings)")
_WORD = re.compile(r"(?:([a-z0-9][a-z0-9.'&-]*|&)|(\([a-z ]{2,20}\)))[ ]?$")
_LONGEST = 6


class LatinOrganizations:
    """Finds companies in a folded sentence; immutable."""

    def __init__(self, model: EntityModel) -> None:
        self._stops = model.words["company_stops"]

    def find(self, text: str) -> list[tuple[int, int]]:
        """The spans of all companies in a folded sentence."""
        found: list[tuple[int, int]] = []
        for match in _FORM.finditer(text):
            start = self._start(text, match.start())
            if start is None:
                continue
            words = text[start : match.start()].split()
            if len(words) < 2 and not _ALONE.match(match.group()):
                continue
            if found and found[-1][1] > start:
                start = found.pop()[0]
            found.append((start, match.end()))
        return found

    def _start(self, text: str, at: int) -> int | None:
        """Where the words before `at` begin that may be the name."""
        start = at
        for _ in range(_LONGEST):
            match = _WORD.search(text, max(0, start - 24), start)
            if match is None or match.group(1) in self._stops or (match.group(1) or "").endswith((".", ":")):
                break
            start = match.start()
        if text[start : start + 1] == "&":
            return None
        return start if start < at else None

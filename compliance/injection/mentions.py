"""Talk about attacks: an article quotes what an attacker would say, and makes no attack itself."""

from collections.abc import Sequence

from compliance.injection.words import any_of

MENTION = 60
"""So many characters before a match are searched for an opening quotation mark and a word that says what is quoted."""

_NEAR = 16
_OPENING = "“「『‘《"
_CLOSING = "”」』’》"
_STRAIGHT = "\"'`"


class Mentions:
    """Knows an attack that stands in quotation marks behind a word such as 攻击者."""

    def __init__(self, about: Sequence[str]) -> None:
        self._about = any_of(about)

    def covers(self, window: str, start: int) -> bool:
        """Whether what begins at `start` is only mentioned. Looks back and never ahead, so streams are judged alike."""
        before = window[max(0, start - MENTION) : start]
        return self._opened(before[-_NEAR:]) and self._about.search(before) is not None

    def _opened(self, before: str) -> bool:
        """Whether the last quotation mark opens a quotation."""
        for at in range(len(before) - 1, -1, -1):
            char = before[at]
            if char in _OPENING:
                return True
            if char in _CLOSING:
                return False
            if char in _STRAIGHT:
                return at == 0 or not before[at - 1].isalpha() or before[at - 1] > "\u2e80"
        return False

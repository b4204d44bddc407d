"""One way to write a term, and whether a place in a text is that term in a disguise that it allows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from compliance.chartable import CharTable
from compliance.keywords.foldings import HARD, MAX_EXTRA, MAX_GAP, MAX_REPEATS, ODD, Folding
from compliance.unicode import is_word

Between = Callable[[str, str], Folding | None]
"""The disguise in which one character is written for another; None if there is none."""

UNFINISHED = -1
"""The end of a spelling that the text so far is only the beginning of."""


class Letter(NamedTuple):
    """One character of a spelling.

    `gap` is what the term itself has before it. `free`: separators may stand before it; inside a Latin word or
    syllable they may only where they stand everywhere (h-e-r-o-i-n) or are odd (her~oin). `extra`: it ends an
    inner run of equal characters, which may be longer. `first`: it ends the first run, which may not.
    """

    char: str
    gap: str
    free: bool
    extra: bool
    first: bool


class Spelling(NamedTuple):
    """A term written out. `used` is what writing it so takes already; `entry` is whose spelling it is."""

    letters: tuple[Letter, ...]
    lead: int  # length of the first run of equal characters
    allowed: Folding
    used: Folding
    alike: int  # so many characters must stand as they are, where homophones stand for the others
    size: int  # characters of the term itself
    entry: int


@dataclass(frozen=True, slots=True)
class Alphabet:
    """How one view of a text is made and read. `table` drops the separators.

    `meanings` lists what a written character may stand for; None where that is too many.
    """

    table: CharTable
    between: Between
    meanings: Callable[[str], list[tuple[str, Folding]]] | None = None

    def of(self, char: str) -> str:
        """What the view has for a character; empty for a separator."""
        return self.table.of(char)

    def spell(
        self, text: str, entry: int, allowed: Folding, used: Folding = Folding.none, borders: int = 0, size: int = 0
    ) -> Spelling:
        """Write a folded text out. Bit i of `borders`: separators are free before character i although it is Latin.

        `size`: characters of the term that this is a way to write; the text's own unless given.
        """
        views: Sequence[str] = text.translate(self.table.entries)
        if len(views) == len(text) and min(text) >= "\u2e80":  # Chinese characters only
            chars = [(char, "", True) for char in text]
        else:
            chars = self._parted(text, borders)
            views = [self.of(char) for char, _, _ in chars]
        ends = [at for at in range(len(views)) if at + 1 == len(views) or views[at + 1] != views[at]]
        letters = tuple(
            Letter(char, own, free, at in ends[1:-1], len(ends) > 1 and at == ends[0])
            for at, (char, own, free) in enumerate(chars)
        )
        alike = len(letters) - len(letters) // 2 if Folding.homophones in allowed else 0
        lead = ends[0] + 1 if ends else 0
        return Spelling(letters, lead, allowed, used, alike, size or len(letters), entry)

    def _parted(self, text: str, borders: int) -> list[tuple[str, str, bool]]:
        """Each character that is no separator, the separators before it, and whether more of them may stand there."""
        chars: list[tuple[str, str, bool]] = []
        gap = ""
        for at, char in enumerate(text):
            if not self.of(char):
                gap += char
                continue
            inside = bool(chars) and not gap and is_word(chars[-1][0]) and is_word(char) and not borders >> at & 1
            chars.append((char, gap if chars else "", not inside))
            gap = ""
        return chars

    def read(self, window: str, start: int, spelling: Spelling) -> tuple[int, int] | None:
        """Where the spelling that begins at `start` ends and the disguises it is in; None if it is not there."""
        reading = _Reading(self, window, start, spelling)
        for number, letter in enumerate(spelling.letters):
            if number and not reading.cross(letter):
                return None
            if reading.unfinished:
                return reading.result(len(spelling.letters) - number)
            if not reading.take(letter.char):
                return None
            if letter.extra and not reading.take_repeats(letter.char):
                return None
            if letter.first and reading.goes_on(letter.char):
                return None
        return reading.result(0)


class _Reading:
    """A spelling that is being read: where it stands, and what that took so far."""

    __slots__ = (
        "_alphabet",
        "_at",
        "_extra",
        "_forbidden",
        "_gaps",
        "_spelling",
        "_used",
        "_window",
        "_word_gaps",
        "alike",
        "unfinished",
    )

    def __init__(self, alphabet: Alphabet, window: str, start: int, spelling: Spelling) -> None:
        self._alphabet = alphabet
        self._window = window
        self._at = start
        self._spelling = spelling
        self._forbidden = ~int(spelling.allowed)  # plain numbers, since operations on flags cost ten times as much
        self._used = int(spelling.used)
        self._gaps = _Gaps()  # of the whole term
        self._word_gaps = _Gaps()  # inside the Latin word that is being read
        self._extra = 0  # separators and repeats so far
        self.alike = 0
        self.unfinished = False

    def cross(self, letter: Letter) -> bool:
        """Go over the separators before a letter; False where they may not be there."""
        gap = self._gap(self._at)
        end = self._at + len(gap)
        self.unfinished = end == len(self._window)
        if self.unfinished and letter.gap.startswith(gap):
            return True
        self._at = end
        if letter.free:
            self._word_gaps = _Gaps()
        return self._allow(gap, letter)

    def _gap(self, start: int) -> str:
        of = self._alphabet.of
        window = self._window
        if start < len(window) and of(window[start]):
            return ""
        end = start
        limit = min(len(window), start + MAX_GAP + 1)
        while end < limit and not of(window[end]):
            end += 1
        return window[start:end]

    def _allow(self, gap: str, letter: Letter) -> bool:
        if gap == letter.gap:
            return bool(gap) or (self._gaps.add_empty() and (letter.free or self._word_gaps.add_empty()))
        self._extra += len(gap)
        if _SEPARATORS & self._forbidden or len(gap) > MAX_GAP or self._extra > MAX_EXTRA:
            return False
        self._used |= _SEPARATORS
        if not gap:
            return self._gaps.add_empty()
        if self._is_hard(gap) and not (self._spelling.size >= 3 and self._gaps.add_doubtful()):
            return False
        return letter.free or ODD.issuperset(gap) or self._word_gaps.add_doubtful()

    def _is_hard(self, gap: str) -> bool:
        """Whether a gap ends a phrase. Short terms are guarded from list marks, all from the bars of a table."""
        size = self._spelling.size
        return not HARD.isdisjoint(gap) or (size < 4 and "、" in gap) or ("|" in gap and (size < 3 or gap != "|"))

    def take(self, char: str) -> bool:
        """Read one character as `char`; False where it is written for no such one."""
        written = self._window[self._at]
        self._at += 1
        if written == char:
            self.alike += 1
            return True
        how = self._alphabet.between(written, char)
        if how is None or int(how) & self._forbidden:
            return False
        self._used |= int(how)
        self.alike += how is not Folding.homophones
        return True

    def take_repeats(self, char: str) -> bool:
        """Read on over repeats of an inner character; False where there are too many or they may not be."""
        written = self._window[self._at - 1]
        for count in range(MAX_REPEATS + 1):
            if not self.goes_on(char):
                return True
            self._extra += 1
            if count == MAX_REPEATS or self._extra > MAX_EXTRA or _REPEATS & self._forbidden:
                return False
            gap = self._gap(self._at)
            if gap and not self._allow(gap, _BETWEEN_LETTERS if is_word(char) else _BETWEEN_SIGNS):
                return False
            self._at += len(gap)
            self._used |= _REPEATS
            if self._alphabet.between(self._window[self._at], written) in (None, Folding.homophones):
                return False
            self._at += 1
        return False

    def goes_on(self, char: str) -> bool:
        """Whether the next character that is no separator is the same in this view."""
        after = self._at + len(self._gap(self._at))
        return after < len(self._window) and self._alphabet.of(self._window[after]) == self._alphabet.of(char)

    def result(self, missing: int) -> tuple[int, int] | None:
        if self.alike + missing < self._spelling.alike:
            return None
        return (UNFINISHED if missing else self._at), self._used


class _Gaps:
    """Gaps of which none may be empty once one of them is doubtful."""

    __slots__ = ("_doubtful", "_empty")

    def __init__(self) -> None:
        self._doubtful = False
        self._empty = False

    def add_empty(self) -> bool:
        self._empty = True
        return not self._doubtful

    def add_doubtful(self) -> bool:
        self._doubtful = True
        return not self._empty


_SEPARATORS, _REPEATS = int(Folding.separators), int(Folding.repeats)
_BETWEEN_SIGNS = Letter("", "", free=True, extra=False, first=False)
_BETWEEN_LETTERS = Letter("", "", free=False, extra=False, first=False)

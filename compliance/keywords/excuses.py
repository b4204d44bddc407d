"""Allowed words: a term inside one of them is no finding (大麻 in 大麻烦).

An allowed word may also sound like a term: 强制出售 is no disguise of 枪支出售.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from compliance.keywords.foldings import MAX_GAP
from compliance.keywords.pinyin import sounds
from compliance.keywords.spelling import UNFINISHED, Alphabet, Spelling
from compliance.unicode import is_word


@dataclass(frozen=True, slots=True)
class Excuse:
    """An allowed word that holds a term at `offset`."""

    word: str
    offset: int
    word_start: bool
    word_end: bool  # needs a word boundary at its end; where it ends with the term, the term's own says it all
    ends_with_term: bool
    spelling: Spelling


Spell = Callable[[str, int], Spelling]
"""Writes a word out with the disguises that the term at a position allows."""


def excuses_of(
    terms: Sequence[str], allowed: Iterable[str], contexts: Sequence[Iterable[str]], spell: Spell
) -> dict[int, tuple[Excuse, ...]]:
    """The excuses of each term, by its position: of the words allowed for all, and of its own contexts."""
    found: dict[int, dict[tuple[str, int], Excuse]] = {}
    places: dict[str, list[int]] = {}
    for index, term in enumerate(terms):
        places.setdefault(term, []).append(index)
        for word in contexts[index]:
            for at in occurrences(word, term):
                found.setdefault(index, {})[word, at] = _excuse(word, at, term, spell(word, index))
    distinct = list(places)
    if not distinct:
        return {}
    for word, number, at in _inside(allowed, distinct):
        for index in places[distinct[number]]:
            found.setdefault(index, {})[word, at] = _excuse(word, at, distinct[number], spell(word, index))
    return {index: tuple(excuses.values()) for index, excuses in found.items()}


def occurrences(word: str, term: str) -> list[int]:
    """Where a word holds a term; where it holds none, where it sounds like it."""
    found = _places(word, term)
    return found or _places(word.translate(sounds()), term.translate(sounds()))


def _places(word: str, term: str) -> list[int]:
    return [at for at in range(len(word) - len(term) + 1) if word.startswith(term, at)]


def _inside(words: Iterable[str], terms: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Each word with the number of a term in it and its place; without any, of a term that it sounds like."""
    unlike: list[str] = []
    places = {term: number for number, term in enumerate(terms)}
    for word in words:
        found = [(word, places[part], at) for part, at in _parts(word) if part in places]
        yield from found
        if not found:
            unlike.append(word)
    if unlike:  # so that only lists with such words pay for the syllables
        heard: dict[str, list[tuple[str, int]]] = {}
        for word in unlike:
            for part, at in _parts(word.translate(sounds())):
                heard.setdefault(part, []).append((word, at))
        for number, term in enumerate(terms):
            yield from ((word, number, at) for word, at in heard.get(term.translate(sounds()), ()))


def _parts(word: str) -> Iterator[tuple[str, int]]:
    """Every part of a word, and where it begins."""
    return ((word[start:end], start) for start in range(len(word)) for end in range(start + 1, len(word) + 1))


def _excuse(word: str, at: int, term: str, spelling: Spelling) -> Excuse:
    same_end = at + len(term) == len(word)
    ends = same_end and word.endswith(term)  # what only sounds like the term does not tell which text may become it
    return Excuse(word, at, is_word(word[0]), is_word(word[-1]) and not same_end, ends, spelling)


def excused(window: str, start: int, excuse: Excuse, final: bool) -> bool | None:
    """Whether the allowed word stands at `start`; None while the text to come decides that."""
    if start < 0 or (excuse.word_start and inside_word(window, start)):
        return False
    end = start + len(excuse.word)
    if end > len(window):
        return None if not final and excuse.word.startswith(window[start:]) else False
    if window[start:end] != excuse.word:
        return False
    if not excuse.word_end:
        return True
    if end == len(window):
        return True if final else None
    return not is_word(window[end])


def excused_in_disguise(
    window: str, start: int, end: int, excuse: Excuse, alphabet: Alphabet, final: bool
) -> bool | None:
    """The same for a term from `start` to `end` that is in disguise: 大 麻 烦 is the allowed word too."""
    for char in excuse.word[: excuse.offset]:
        if alphabet.of(char):
            start = _before(window, start, alphabet)
    if start < 0:
        return False
    read = alphabet.read(window, start, excuse.spelling)
    if read is None or (excuse.word_start and inside_word(window, start)):
        return False
    if read[0] == UNFINISHED:
        return False if final else None
    return read[0] >= end


def _before(window: str, start: int, alphabet: Alphabet) -> int:
    """The last character before `start` that is no separator; negative where there is none near."""
    for at in range(start - 1, max(-1, start - MAX_GAP - 2), -1):
        if alphabet.of(window[at]):
            return at
    return -1


def will_be_excused(window: str, start: int, excuses: Iterable[Excuse]) -> bool:
    """Whether a term that begins at `start`, if it is completed, ends an allowed word that has begun before it."""
    return any(
        excuse.ends_with_term
        and start >= excuse.offset
        and excuse.word.startswith(window[start - excuse.offset :])
        and not (excuse.word_start and inside_word(window, start - excuse.offset))
        for excuse in excuses
    )


def inside_word(window: str, start: int) -> bool:
    """Whether a word character at `start` continues a word."""
    return start > 0 and is_word(window[start]) and is_word(window[start - 1])

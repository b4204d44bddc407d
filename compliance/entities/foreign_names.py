"""Names in Chinese characters that have no Chinese surname: parts joined by a dot (阿依古丽·买买提, 玛丽·居里), and
names that are made of known parts (扎西多吉).
"""

import re
from itertools import combinations_with_replacement, pairwise, product

from compliance.entities.lattice import LONGEST_WORD, Candidate, cheapest
from compliance.entities.model import UNKNOWN, EntityModel

_DOT = "[·•・‧∙]"
_LONGEST_PART = 8
_DOTTED_RARITY = 60
_JOIN = re.compile("[和与及跟同]")
_KNOWN = 60
_ROLE = 30
_NEAR = LONGEST_WORD


class ForeignNames:
    """Finds names with dots and names of minorities in a folded sentence; immutable."""

    def __init__(self, model: EntityModel) -> None:
        self._model = model
        longest_first = sorted(model.minority, key=len, reverse=True)
        parts = "|".join(longest_first)
        self._known = re.compile(f"(?:{parts})+")
        self._part = re.compile(parts)
        syllables = "".join(model.foreign)
        self._dotted = re.compile(
            f"[{syllables}]{{1,{_LONGEST_PART}}}(?:{_DOT}(?:[{syllables}]{{1,{_LONGEST_PART}}}|[a-z][.]?(?={_DOT}))){{1,3}}"
        )

    def find_dotted(self, text: str) -> list[tuple[int, int]]:
        """Names whose parts a dot joins."""
        return [span for match in self._dotted.finditer(text) for span in self._dotted_name(text, *match.span())]

    def find_known(self, text: str) -> list[tuple[int, int]]:
        """Names that are made of known parts, of which the text should hold one."""
        return [match.span() for match in self._known.finditer(text) if self._is_name(text, *match.span())]

    def _dotted_name(self, text: str, start: int, end: int) -> list[tuple[int, int]]:
        """The name around the dots, without words that run into it on either side."""
        dots = [at for at in range(start, end) if text[at] in _DOT]
        candidates: list[Candidate] = []
        parted = [bool(_JOIN.search(text, left, right)) for left, right in pairwise(dots)]
        for first, last in combinations_with_replacement(range(len(dots)), 2):
            if (first and not parted[first - 1]) or (last < len(parted) and not parted[last]):
                continue  # only a word for "and" parts two names
            lefts = range(dots[first - 1] + 1 if first else start, dots[first])
            rights = range(dots[last] + 2, (dots[last + 1] if last + 1 < len(dots) else end) + 1)
            for left, right in product(lefts, rights):
                cost = self._cost_of(text, left, dots[first], dots[last], right)
                candidates.append(Candidate(left, right, cost + UNKNOWN * (last - first + 1), "foreign"))
        read = cheapest(text, max(0, start - _NEAR), min(len(text), end + _NEAR), self._model.cost, candidates)
        return [(left, right) for left, right, kind in read if kind == "foreign"]

    def _cost_of(self, text: str, left: int, dot: int, last_dot: int, right: int) -> int:
        known = (self._known.fullmatch(text, left, dot), self._known.fullmatch(text, last_dot + 1, right))
        syllables = sum(self._syllable(char) for char in text[left:right])
        return _DOTTED_RARITY + syllables - _KNOWN * sum(one is not None for one in known)

    def _syllable(self, char: str) -> int:
        return self._model.foreign.get(char, 0)

    def _is_name(self, text: str, start: int, end: int) -> bool:
        """Two parts or more; one part only where a role or a title stands beside it."""
        contexts = self._model.contexts
        parts = self._part.findall(text, start, end)
        if len(parts) > 1 and end - start >= 3:
            return self._model.class_of.get(text[start:end]) not in ("s", "o", "f", "v")
        return end - start >= 2 and (contexts.before(text, start) >= _ROLE or contexts.after(text, end) > _ROLE)

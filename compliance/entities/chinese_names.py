"""Personal names in running Chinese text: a surname and one or two characters that read best as a name.

Names of foreigners compete too, since their characters hold surnames (孔德斯); without a mark between their
parts they are reported only where a role or a title stands beside them.
"""

import re
from collections.abc import Mapping

from compliance.entities.lattice import LONGEST_WORD, Candidate, cheapest
from compliance.entities.model import UNKNOWN, EntityModel

RARITY = 70
"""Cost of there being a name at all, context apart: the one threshold between misses and false alarms."""

_ALONE = 14  # about a quarter of all given names has one character
_TWO = 3
_TWICE = 30  # 娜娜, 露露
_SHORT = 14  # names of two characters are soon words that the dictionary lacks
_TOLD = 22
_OTHER_NAMES = frozenset("so")  # 唐山
_RARE_GIVEN = 96
_DOUBT = 45  # a rare character is sooner of a word that the dictionary lacks (麻薯)
_NOT_IN_GIVEN = frozenset("总先签")
_BRAND = re.compile("牌(?![照子号位])")
_JOIN = LONGEST_WORD - 1

_FOREIGN_RARITY = 110
_FOREIGN_SHORTEST, _FOREIGN_LONGEST = 3, 6
_ROLE = 30


class ChineseNames:
    """Finds names in a folded sentence; immutable."""

    def __init__(self, model: EntityModel) -> None:
        self._model = model
        self._cost = model.cost
        self._contexts = model.contexts
        self._no_given = model.words["no_given"]
        doubles = [one for one in model.surnames if len(one) == 2]
        given = "".join({**model.alone, **model.first, **{one[1]: 0 for one in doubles}})
        self._doubles = frozenset(one[0] for one in doubles)
        self._opening = re.compile(f"[{''.join(sorted({one[0] for one in model.surnames}))}](?=[{given}])")
        # How much less a character costs in a name than as a word of its own.
        self._gain_of_surname = self._gains({one: model.surnames[one] + RARITY for one in model.surnames})
        self._gain_alone = self._gains({one: cost + _ALONE for one, cost in model.alone.items()})
        self._gain_of_first = self._gains({one: cost + _TWO for one, cost in model.first.items()})
        self._gain_of_second = self._gains(model.second)
        self._foreign = re.compile(f"[{''.join(model.foreign)}]{{{_FOREIGN_SHORTEST},}}")

    def _gains(self, costs: Mapping[str, int]) -> dict[str, int]:
        return {one: self._cost.get(one, UNKNOWN) - cost for one, cost in costs.items() if len(one) == 1}

    def find(self, text: str) -> list[tuple[int, int]]:
        """The spans of all names."""
        candidates: list[Candidate] = []
        for match in self._opening.finditer(text):
            start = match.start()
            if text[start] in self._doubles and text[start : start + 2] in self._model.surnames:
                self._propose(text, start, text[start : start + 2], candidates)
            if self._may_be_likely(text, start):
                self._propose(text, start, text[start], candidates)
        return self._settled(text, candidates) if candidates else []

    def _may_be_likely(self, text: str, start: int) -> bool:
        """Whether a surname of one character may begin a name that costs less than plain words, at a glance.

        It lets by all that `_add_if_likely` does: words of two characters only make plain words cheaper.
        """
        given, after = text[start + 1], text[start + 2 : start + 3]
        gain = self._gain_of_surname.get(text[start])
        if gain is None:
            return False
        limit = self._contexts.limit_before(text, start)
        alone = self._gain_alone.get(given)
        if alone is not None:
            context = limit + self._contexts.limit_after(after)
            if gain + alone + context > (0 if context >= _TOLD else _SHORT):
                return True
        if given == after or given + after in self._model.pairs:
            return True
        first, second = self._gain_of_first.get(given), self._gain_of_second.get(after)
        if first is None or second is None:
            return False
        return gain + first + second + limit + self._contexts.limit_after(text[start + 3 : start + 4]) > 0

    def _propose(self, text: str, start: int, name: str, into: list[Candidate]) -> None:
        """The readings as a name that cost less than the plain words of the same characters."""
        model = self._model
        surname = model.surnames.get(name)
        at = start + len(name)
        given, after = text[at : at + 1], text[at + 1 : at + 2]
        if surname is None or given in _NOT_IN_GIVEN:
            return
        alone, first, second = model.alone.get(given), model.first.get(given), model.second.get(after)
        if after in _NOT_IN_GIVEN or given + after in self._no_given:
            second = None
        if first is not None and second is not None:
            cost = model.pairs.get(given + after, first + second) + _TWO
            doubt = _DOUBT if max(first, second) >= _RARE_GIVEN else 0
            self._add_if_likely(text, start, at + 2, surname + cost, doubt, into)
        if alone is not None:
            doubt = _DOUBT if alone >= _RARE_GIVEN else 0
            if given == after:
                self._add_if_likely(text, start, at + 2, surname + alone + _TWICE, doubt, into)
            self._add_if_likely(text, start, at + 1, surname + alone + _ALONE, doubt + _SHORT, into)

    def _add_if_likely(self, text: str, start: int, end: int, cost: int, doubt: int, into: list[Candidate]) -> None:
        """Add what costs less as a name than as words; where little beside it tells of one, `doubt` counts too."""
        plain = self._plain(text[start:end])
        cost += RARITY
        limit = self._contexts.limit(text, start, end)
        if cost - limit + (doubt if limit < _TOLD else 0) >= plain or _BRAND.match(text, end):
            return
        context = self._contexts.before(text, start) + self._contexts.after(text, end)
        if context < _TOLD:
            cost += doubt
            if self._model.class_of.get(text[start:end]) in _OTHER_NAMES:
                return
        if cost - context < plain:
            into.append(Candidate(start, end, cost - context, "name"))

    def _plain(self, value: str) -> int:
        """The least cost of the value's own words, whatever stands beside it."""
        get = self._cost.get
        whole = get(value, 1 << 20)
        first, second = get(value[0], UNKNOWN), get(value[1], UNKNOWN)
        if len(value) == 2:
            return min(whole, first + second)
        third = get(value[2], UNKNOWN)
        apart = first + min(second + third, get(value[1:3], 1 << 20))
        three = min(apart, get(value[:2], 1 << 20) + third)
        if len(value) == 3:
            return min(whole, three)
        return min(whole, three + get(value[3], UNKNOWN), get(value[:2], 1 << 20) + get(value[2:], 1 << 20))

    def _settled(self, text: str, names: list[Candidate]) -> list[tuple[int, int]]:
        """What remains of the candidates after reading them among their neighbours."""
        found: list[tuple[int, int]] = []
        for start, end, group in _regions(text, names + self._foreigners(text)):
            for left, right, kind in cheapest(text, start, end, self._cost, group):
                if kind == "name" or (kind == "foreign" and self._has_a_role(text, left, right)):
                    found.append((left, right))
        return found

    def _foreigners(self, text: str) -> list[Candidate]:
        """Runs of characters of transliteration, at every length."""
        cost = self._model.foreign
        found: list[Candidate] = []
        for match in self._foreign.finditer(text):
            for start in range(match.start(), match.end() - _FOREIGN_SHORTEST + 1):
                total = _FOREIGN_RARITY
                for at in range(start, min(start + _FOREIGN_LONGEST, match.end())):
                    total += cost[text[at]]
                    if at - start >= _FOREIGN_SHORTEST - 1:
                        found.append(Candidate(start, at + 1, total, "foreign"))
        return found

    def _has_a_role(self, text: str, start: int, end: int) -> bool:
        return self._contexts.before(text, start) >= _ROLE or self._contexts.after(text, end) > _ROLE


def _regions(text: str, candidates: list[Candidate]) -> list[tuple[int, int, list[Candidate]]]:
    """The candidates in groups whose words may overlap, each with the characters to read."""
    regions: list[tuple[int, int, list[Candidate]]] = []
    for one in sorted(candidates):
        left, right = max(0, one.start - _JOIN), min(len(text), one.end + _JOIN)
        if regions and left <= regions[-1][1]:
            start, end, group = regions[-1]
            group.append(one)
            regions[-1] = (start, max(end, right), group)
        else:
            regions.append((left, right, [one]))
    return regions

"""The scanner of prompt injection: an automaton over first words, and chains of parts where one of them stands.

Ordinary text costs one pass of the automaton and one glance for disguises. What is held back is only what may become
an attack: the beginning of a first word, and what follows one while the sentence may still complete a pattern.
"""

from collections.abc import Callable, Collection

from compliance.deadline import Deadline
from compliance.injection.chains import BEFORE, LONGEST, OPEN, Chain, Chains, Places
from compliance.injection.mentions import MENTION, Mentions
from compliance.injection.rules import InjectionRules, Rule
from compliance.injection.words import WordFinder
from compliance.matches import Match, Meaning
from compliance.verdict import Severity

FEW = 16
"""So many new characters are looked at one by one."""


class InjectionScanner:
    """All patterns with the meanings that one policy gives them; immutable, shared by all streams."""

    name = "injection"
    reach = max(BEFORE, MENTION) + 2

    def __init__(self, rules: InjectionRules, meaning_of: Callable[[Rule, Severity], Meaning | None]) -> None:
        """A rule without a meaning in its own severity is not looked for; `low` is that of a mention."""
        self.meanings = {
            (rule, mentioned): meaning_of(rule, "low" if mentioned else rule.severity)
            for rule in rules.rules
            for mentioned in (False, True)
        }
        wanted = [one for one in rules.patterns if self.meanings[one.rule, False]]
        self.chains = Chains(wanted, rules.finder)
        self.mentions = Mentions(rules.about)

    def warm_up(self) -> None:
        """Nothing is loaded late here."""

    def start(self) -> "InjectionScan":
        return InjectionScan(self)


class InjectionScan:
    """One stream's state: where a first word may have begun, and the chains that are not decided."""

    name = "injection"

    def __init__(self, scanner: InjectionScanner) -> None:
        self._scanner = scanner
        self._chains = scanner.chains
        self._first = scanner.chains.first
        self._alive: list[int] = []
        self._open: list[tuple[int, Chain]] = []

    def advance(self, window: str, seen: int, final: bool, deadline: Deadline) -> tuple[list[Match], int]:
        size = len(window)
        first = self._first
        if first is None:
            return [], size
        alive = self._alive
        if not alive and not self._open and size - seen <= FEW and first.firsts.isdisjoint(window[seen:]):
            return [], size
        begun: Collection[tuple[int, WordFinder]] = ()
        if size - seen > FEW:
            begun = self._chains.begun(window, alive[0] if alive else seen, seen)
            alive += range(size if final else max(seen, size - LONGEST), size)
        elif seen < size:
            alive += [start for start in range(seen, size) if window[start] in first.firsts]
            begun = self._chains.begun(window, alive[0], seen) if alive else ()
        matches = self._ask(window, seen, final, begun, deadline) if begun or self._open else []
        if final or not (alive or self._open):
            return matches, size
        if seen < size:
            self._alive = [start for start in alive if first.may_begin(window, start)]
        return matches, min([size, *self._alive[:1], *(start for start, _ in self._open)])

    def _ask(
        self, window: str, seen: int, final: bool, begun: Collection[tuple[int, WordFinder]], deadline: Deadline
    ) -> list[Match]:
        """What the open chains find, and those whose first part has just been seen."""
        text = Places(window, min(start for start, _ in (*begun, *self._open)), final)
        # A chain that ended in text seen before was reported then.
        asked = {(start, chain): seen for start, part in begun for chain in self._chains.of_first[part]}
        return self._settle(text, asked | dict.fromkeys(self._open, 0), deadline)

    def _settle(self, text: Places, asked: dict[tuple[int, Chain], int], deadline: Deadline) -> list[Match]:
        """The matches of these chains that end behind a position; chains that more text may complete stay open."""
        found: dict[tuple[int, int, Meaning], None] = {}
        self._open = []
        for (start, chain), known in asked.items():
            end = chain.read(start, text)
            if end == OPEN:
                self._open.append((start, chain))
            elif end is not None and end > known:
                meaning = self._scanner.meanings[chain.rule, self._scanner.mentions.covers(text.window, start)]
                if meaning:
                    found[start, end, meaning] = None
            deadline.check(self.name)
        return [Match(start, end, meaning) for start, end, meaning in found]

    def forget(self, count: int) -> None:
        self._alive = [start - count for start in self._alive]
        self._open = [(start - count, chain) for start, chain in self._open]

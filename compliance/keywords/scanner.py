"""The keyword scanner: finds compiled terms, in the disguises that each of them allows.

A term that begins or ends in a Latin letter or digit needs a word boundary there, so SM is not in
Smoking; Chinese ends need none. A term inside an allowed word (大麻 in 大麻烦) is no match.
"""

from collections.abc import Iterable, Sequence

from compliance.chartable import CharTable
from compliance.deadline import Deadline
from compliance.keywords.excuses import Excuse, excused, excused_in_disguise, inside_word, will_be_excused
from compliance.keywords.foldings import MAX_REPEATS, Folding
from compliance.keywords.terms import CompiledTerms
from compliance.keywords.views import Proposal, View
from compliance.matches import Match, Meaning
from compliance.unicode import is_word

FEW = 16
"""So many new characters are looked at one by one."""

LONGEST_QUIET = 6
MOST_QUIET = 16_384
"""So many pieces of text are remembered, and none that is longer: those hardly ever come again."""


class KeywordScanner:
    """Compiled terms with the meanings that one policy gives them; immutable, shared by all streams.

    `meanings[i]` belongs to the i-th term; a term without any is not reported. Terms that a policy does not look
    for at all are better left out of `terms`, since what is compiled is also held back. `quiet` remembers short pieces
    of text in which nothing was found, and where in them a term may have begun: most deltas of a stream come again.
    """

    name = "keywords"

    def __init__(self, terms: CompiledTerms, meanings: Sequence[tuple[Meaning, ...]]) -> None:
        self.terms = terms
        self.meanings = meanings
        self.reach = terms.reach
        self.doubtful = terms.doubtful
        self.doubtful_firsts = frozenset(prefix[0] for prefix in self.doubtful)
        self.quiet: dict[str, tuple[int, ...]] = {}

    def warm_up(self) -> None:
        """Nothing is loaded late here."""

    def start(self) -> "KeywordScan":
        return KeywordScan(self)


class KeywordScan:
    """One stream's state: which positions may still become a term, and terms whose fate is open."""

    name = "keywords"

    def __init__(self, scanner: KeywordScanner) -> None:
        self._meanings = scanner.meanings
        self._entries = scanner.terms.entries
        self._views = scanner.terms.views
        self._may_begin = scanner.terms.may_begin
        self._known_of = scanner.terms.known_of
        self._plain = scanner.terms.plain
        self._loose = scanner.terms.loose
        self._repeating = scanner.terms.repeating
        self._doubtful = scanner.doubtful
        self._doubtful_firsts = scanner.doubtful_firsts
        self._quiet = scanner.quiet
        self._alive: list[int] = []  # where what reaches the end of the window may become a term
        self._open: list[Proposal] = []  # whole terms that a boundary or an excuse may undo

    def advance(self, window: str, seen: int, final: bool, deadline: Deadline) -> tuple[list[Match], int]:
        first = self._alive[0] if self._alive else seen
        if not self._open and not final:
            known = self._quiet.get(window[first:])
            if known is not None:
                self._alive = [first + at for at in known] if known else []
                return [], first + known[0] if known else len(window)
        return self._look(window, first, seen, final)

    def _look(self, window: str, first: int, seen: int, final: bool) -> tuple[list[Match], int]:
        """Look at the new text and what before it may become a term."""
        size = len(window)
        region = window[first:] if first else window
        looks, aligned = self._looks(region)
        nothing = not self._open
        for view, text in looks:
            if view.only_if is None or view.only_if(region):
                hits = view.find(text, overlapping=True)
                if hits and aligned and not self._loose:
                    hits = [hit for hit in hits if not inside_word(region, hit[1])]  # most hits in English text
                if hits:
                    nothing = False
                    self._open += self._plainest(view.proposals(hits, text, region, first, seen))
        matches = self._settle(window, final) if self._open else []
        if final:
            self._alive = []
            return matches, size
        if seen < size:
            self._alive = self._still_alive(window, first, seen, looks if aligned else ())
            if nothing and len(region) <= LONGEST_QUIET and not is_word(region[0]):
                self._remember(region, first)
        undecided = self._alive[0] if self._alive else size
        if self._open:
            undecided = min(undecided, min(one.start for one in self._open))
        return matches, undecided

    def _looks(self, region: str) -> tuple[list[tuple[View, str]], bool]:
        """What each view has of a text, and whether that is a character for each of the text's: places are the same."""
        looks: list[tuple[View, str]] = []
        aligned = True
        made: CharTable | None = None
        for view in self._views:
            if view.table is not made:
                made = view.table
                skeleton = made.map_collapsed(region)
                aligned = aligned and len(skeleton) == len(region)
            looks.append((view, skeleton if view.heard_as is None else view.heard_as(skeleton)))
        return looks, aligned

    def _plainest(self, proposals: Iterable[Proposal]) -> list[Proposal]:
        """A place that is a term in several ways is in the one that takes the fewest disguises."""
        known = {(one.start, one.end, one.entry): one for one in self._open}
        fresh: dict[tuple[int, int, int], Proposal] = {}
        for one in proposals:
            key = (one.start, one.end, one.entry)
            best = fresh.get(key) or known.get(key)
            if best is None or one.used.bit_count() < best.used.bit_count():
                fresh[key] = one
        if not fresh.keys().isdisjoint(known):
            self._open = [one for one in self._open if (one.start, one.end, one.entry) not in fresh]
        return list(fresh.values())

    def _settle(self, window: str, final: bool) -> list[Match]:
        matches: list[Match] = []
        waiting: list[Proposal] = []
        for one in self._open:
            meanings = self._meanings[one.entry]
            holds = self._holds(window, one, final) if meanings else False
            if holds is None:
                waiting.append(one)
            elif holds:
                folding = one.used.names()
                matches += [Match(one.start, one.end, meaning, folding) for meaning in meanings]
        self._open = waiting
        return matches

    def _holds(self, window: str, one: Proposal, final: bool) -> bool | None:
        """Whether a term found here is a match; None while the text to come decides that."""
        entry = self._entries[one.entry]
        start, end = one.start, one.end
        if entry.bounded and inside_word(window, _run_start(window, start) if entry.repeats else start):
            return False
        word_end = entry.bounded and is_word(window[end - 1])
        border = _run_end(window, end) if entry.repeats and word_end else end
        at_end = border == len(window)
        if word_end and not at_end and is_word(window[border]):
            return False
        pending = word_end and at_end and not final
        for excuse in entry.excuses:
            verdict = self._excused(window, one, excuse, final)
            if verdict:
                return False
            pending = pending or verdict is None
        return None if pending else True

    def _excused(self, window: str, one: Proposal, excuse: Excuse, final: bool) -> bool | None:
        if one.used is Folding.none:
            return excused(window, one.start - excuse.offset, excuse, final)
        return excused_in_disguise(window, one.start, one.end, excuse, self._plain, final)

    def _still_alive(self, window: str, first: int, seen: int, aligned: Sequence[tuple[View, str]]) -> list[int]:
        """Where what reaches the end of the window may become a term; `aligned` views soon tell where none begins."""
        size = len(window)
        alive: list[int] = []
        known_of = self._known_of
        for start in (*self._alive, *(range(seen, size) if size - seen <= FEW else self._likely(window, seen))):
            beginning = window[start:]
            known = known_of(beginning)
            if known is False:
                continue
            views = _views_here(aligned, start - first) if aligned and known is None else self._views
            if not views or (window[start] < "\u2e80" and self._inside_word(window, start)):
                continue
            doubtful = beginning in self._doubtful
            if self._begins_term(window, start, beginning) if doubtful else self._may_begin(beginning, views):
                alive.append(start)
        return alive

    def _remember(self, region: str, first: int) -> None:
        """Keep what a piece of text without any finding may become, where the text before it does not matter."""
        if not self._doubtful_firsts.isdisjoint(region):
            return
        if len(self._quiet) >= MOST_QUIET:
            self._quiet.clear()
        self._quiet[region] = tuple(at - first for at in self._alive)

    def _inside_word(self, window: str, start: int) -> bool:
        """Whether no term can begin at `start` because a word goes on there; ppporn may still be porn."""
        if self._loose or not inside_word(window, start):
            return False
        return not self._repeating or inside_word(window, _run_start(window, start))

    def _likely(self, window: str, seen: int) -> list[int]:
        """Where at the end of a long piece of new text a term may begin, without asking at every character."""
        return sorted({at for view in self._views for at in view.likely_beginnings(window, seen)})

    def _begins_term(self, window: str, start: int, beginning: str) -> bool:
        """Whether a doubtful beginning may become a term that the text before it does not excuse."""
        if self._is_needed(window, start, beginning):
            return self._may_begin(beginning, self._views)
        excused = frozenset(term.index for term in self._doubtful[beginning])
        return any(view.may_begin(beginning, excused) for view in self._views)

    def _is_needed(self, window: str, start: int, beginning: str) -> bool:
        """Whether some term may begin here that the text before it does not excuse already."""
        return not all(will_be_excused(window, start, term.excuses) for term in self._doubtful[beginning])

    def forget(self, count: int) -> None:
        self._alive = [start - count for start in self._alive]
        self._open = [one._replace(start=one.start - count, end=one.end - count) for one in self._open]


def _views_here(looks: Sequence[tuple[View, str]], at: int) -> list[View]:
    """The views in which a pattern begins like the text from `at` on: the first two characters settle most places."""
    return [
        view
        for view, text in looks
        if text[at : at + 2] in view.starts and (len(text) - at < 3 or view.begins_with(text[at:]))
    ]


def _run_start(window: str, start: int) -> int:
    """Where the run of equal characters begins that `start` is in, as far as repeats are looked through."""
    first = max(0, start - MAX_REPEATS - 1)
    while start > first and window[start - 1] == window[start]:
        start -= 1
    return start


def _run_end(window: str, end: int) -> int:
    """Where the run of equal characters ends that the character before `end` is in, as far as it is looked through."""
    last = min(len(window), end + MAX_REPEATS + 1)
    while end < last and window[end] == window[end - 1]:
        end += 1
    return end

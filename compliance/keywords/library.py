"""All terms of a lexicon, compiled once for every policy that looks for the same ones."""

from collections.abc import Callable
from threading import Lock

from compliance.keywords.scanner import KeywordScanner
from compliance.keywords.terms import CompiledTerms, Wanted
from compliance.lexicon import Lexicon, Term
from compliance.matches import Meaning


class TermLibrary:
    """Policies differ in what they do about a term far more often than in which terms they look for."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._allowed = lexicon.allowed
        self._lines: dict[Wanted, list[Term]] = {}
        for term in lexicon.terms:
            self._lines.setdefault(Wanted(term.folded, term.foldings, term.bounded, term.contexts), []).append(term)
        self._compiled: dict[tuple[Wanted, ...], CompiledTerms] = {}
        self._lock = Lock()

    def scanner(self, meaning_of: Callable[[Term], Meaning | None]) -> KeywordScanner:
        """The scanner in which each line of the lexicon means what `meaning_of` says; None: not looked for."""
        meanings: dict[Wanted, tuple[Meaning, ...]] = {}
        for wanted, lines in self._lines.items():
            meant = tuple(one for one in map(meaning_of, lines) if one is not None)
            if meant:
                meanings[wanted] = meant
        return KeywordScanner(self._terms(tuple(meanings)), list(meanings.values()))

    def _terms(self, wanted: tuple[Wanted, ...]) -> CompiledTerms:
        with self._lock:
            if wanted not in self._compiled:
                self._compiled[wanted] = CompiledTerms(wanted, self._allowed)
            return self._compiled[wanted]

"""All terms of a lexicon, compiled once for every policy that looks for the same ones."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import overload

from compliance.keywords.scanner import KeywordScanner
from compliance.keywords.terms import CompiledTerms
from compliance.keywords.views import Wanted
from compliance.lexicon import Lexicon, Term
from compliance.matches import Meaning
from compliance.verdict import Severity

Group = tuple[str, Severity]
"""A risk and a severity: what a policy tells terms apart by."""


class TermLibrary:
    """Policies differ in what they do about a term far more often than in which terms they look for."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._allowed = lexicon.allowed
        lines: dict[Wanted, tuple[Term, ...]] = {}
        for term in lexicon.terms:
            wanted = Wanted(term.folded, term.foldings, term.bounded, term.contexts)
            lines[wanted] = (*lines[wanted], term) if wanted in lines else (term,)
        self._wanted = list(lines)
        self._lines = list(lines.values())
        self._groups = frozenset((term.risk, term.severity) for term in lexicon.terms)
        self._compiled: dict[frozenset[Group], tuple[CompiledTerms, list[tuple[Term, ...]]]] = {}
        self._lock = Lock()

    def scanner(
        self, looks_for: Callable[[str, Severity], bool], meaning_of: Callable[[Term], Meaning]
    ) -> KeywordScanner:
        """The scanner of the terms of which `looks_for` says so, given risk and severity, and of what they mean."""
        terms, lines = self._terms(frozenset(group for group in self._groups if looks_for(*group)))
        return KeywordScanner(terms, _Meanings(lines, meaning_of))

    def _terms(self, groups: frozenset[Group]) -> tuple[CompiledTerms, list[tuple[Term, ...]]]:
        with self._lock:
            if groups not in self._compiled:
                self._compiled[groups] = self._compile(groups)
            return self._compiled[groups]

    def _compile(self, groups: frozenset[Group]) -> tuple[CompiledTerms, list[tuple[Term, ...]]]:
        if groups == self._groups:
            return CompiledTerms(self._wanted, self._allowed), self._lines
        kept = [tuple(term for term in lines if (term.risk, term.severity) in groups) for lines in self._lines]
        wanted = [one for one, lines in zip(self._wanted, kept, strict=True) if lines]
        return CompiledTerms(wanted, self._allowed), [lines for lines in kept if lines]


class _Meanings(Sequence[tuple[Meaning, ...]]):
    """What each term means, made where one is found: hardly any ever is."""

    def __init__(self, lines: Sequence[tuple[Term, ...]], meaning_of: Callable[[Term], Meaning]) -> None:
        self._lines = lines
        self._meaning_of = meaning_of

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, index: int) -> tuple[Meaning, ...]: ...

    @overload
    def __getitem__(self, index: slice) -> list[tuple[Meaning, ...]]: ...

    def __getitem__(self, index: int | slice) -> tuple[Meaning, ...] | list[tuple[Meaning, ...]]:
        if isinstance(index, slice):
            return [self[at] for at in range(len(self))[index]]
        return tuple(map(self._meaning_of, self._lines[index]))

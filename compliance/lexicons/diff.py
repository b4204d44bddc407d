"""What changed from one version of a term list to the next."""

from collections.abc import Iterable
from dataclasses import dataclass

from compliance.lexicon import Term


@dataclass(frozen=True, slots=True)
class Change:
    """A term that is in both versions; `fields` are the columns that differ, with the old and the new value."""

    term: Term
    fields: dict[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Diff:
    """Terms in the order of their lists."""

    added: tuple[Term, ...]
    removed: tuple[Term, ...]
    changed: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def diff(old: Iterable[Term], new: Iterable[Term]) -> Diff:
    """Compare two lists by folded term and risk; where a term is left with one risk each, its risk has changed."""
    before = {(term.folded, term.risk): term for term in old}
    after = {(term.folded, term.risk): term for term in new}
    pairs = [(before.pop(key), after.pop(key)) for key in list(before) if key in after]
    alone = {term.folded: term for term in after.values()}
    for key, term in list(before.items()):
        other = alone.pop(term.folded, None)
        if other is not None:
            pairs.append((before.pop(key), after.pop((other.folded, other.risk))))
    changes = [Change(newer, _fields(older, newer)) for older, newer in pairs]
    return Diff(tuple(after.values()), tuple(before.values()), tuple(one for one in changes if one.fields))


def _fields(older: Term, newer: Term) -> dict[str, tuple[str, str]]:
    columns = {
        "risk": (older.risk, newer.risk),
        "severity": (str(older.severity), str(newer.severity)),
        "foldings": (older.foldings.names() or "none", newer.foldings.names() or "none"),
        "boundary": tuple("word" if one.bounded else "none" for one in (older, newer)),
        "contexts": tuple("|".join(sorted(one.contexts)) for one in (older, newer)),
    }
    return {name: (was, now) for name, (was, now) in columns.items() if was != now}

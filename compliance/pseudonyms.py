"""Reversible pseudonyms within one request: the model sees [姓名1], the caller gets the name back.

A vault lives as long as its request and is never written anywhere. Numbers count distinct values of a type by first
appearance, so a conversation that is sent again with one more turn gets the same numbers for what it held before.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence

from compliance.unicode import fold, is_word
from compliance.verdict import Action, Finding, Surface

_SPACING = re.compile(r"[ ._\-·]")
_SHORTEST_KNOWN = 2
"""A value this long is replaced wherever it stands again, whether or not a scanner finds it there."""


class Pseudonyms:
    """The vault of one request: values to pseudonyms and back."""

    def __init__(self, placeholder: Callable[[str], str]) -> None:
        """`placeholder` names a type, as a policy's does: [姓名] becomes [姓名1]."""
        self._placeholder = placeholder
        self._by_value: dict[tuple[str, str], str] = {}
        self._original: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._reserved: set[str] = set()
        self._known: re.Pattern[str] | None = None

    def __repr__(self) -> str:
        return f"<Pseudonyms of {len(self._original)} values>"

    def __len__(self) -> int:
        return len(self._original)

    def reserve(self, texts: Iterable[str]) -> None:
        """Never give out what stands in these texts already: [姓名1] written by the caller stays what it is.

        Call it with all texts of a request before the first `replace`.
        """
        for text in texts:
            self._reserved.update(re.findall(r"\[[^\[\]]{1,40}\]", text))

    def replace(self, text: str, findings: Sequence[Finding], surface: Surface = "text") -> str:
        """The text with its findings, and every value known from before, replaced by pseudonyms.

        Findings that overlap become one value of the longest one's type; where one of them is to be masked, it gets
        the type's placeholder, which nothing is put back for. Offsets are code points of `text`.
        """
        parts: list[str] = []
        at = 0
        for start, end, type_, masked in _clusters(findings):
            parts.append(self._replace_known(text[at:start]))
            parts.append(self._placeholder(type_) if masked else self._pseudonym(text[start:end], type_, surface))
            at = end
        parts.append(self._replace_known(text[at:]))
        return "".join(parts)

    def original(self, pseudonym: str) -> str | None:
        """The value that a pseudonym stands for, as it was first written; None for what was never given out."""
        return self._original.get(pseudonym)

    def begins(self, tail: str) -> bool:
        """Whether more text could make a pseudonym of this."""
        return any(one.startswith(tail) for one in self._original)

    def _pseudonym(self, value: str, type_: str, surface: Surface) -> str:
        if surface == "json":
            value = _unescaped(value)
        key = (type_, _SPACING.sub("", fold(value)))
        known = self._by_value.get(key)
        if known is None:
            known = self._by_value[key] = self._next(type_)
            self._original[known] = value
            self._known = None
        return known

    def _next(self, type_: str) -> str:
        label = self._placeholder(type_).strip("[]")
        while True:
            number = self._counts[label] = self._counts.get(label, 0) + 1
            pseudonym = f"[{label}{number}]"
            if pseudonym not in self._reserved and pseudonym not in self._original:
                return pseudonym

    def _replace_known(self, text: str) -> str:
        """A value stands again where no scanner sees it, say in an answer that is sent back as history."""
        if not self._original or not text:
            return text
        if self._known is None:
            values = sorted(self._original.values(), key=len, reverse=True)
            self._known = re.compile("|".join(_alone(one) for one in values if len(one) >= _SHORTEST_KNOWN) or "(?!)")
        names = {value: pseudonym for pseudonym, value in self._original.items()}
        return self._known.sub(lambda match: names[match.group()], text)


class Restorer:
    """Puts the originals back into one streamed text; holds only what may still become a pseudonym."""

    def __init__(self, pseudonyms: Pseudonyms, surface: Surface = "text") -> None:
        """On the surface `json` originals are escaped as inside a JSON string."""
        self._pseudonyms = pseudonyms
        self._json = surface == "json"
        self._held = ""

    def feed(self, chunk: str) -> str:
        """Take in a chunk, return what is decided."""
        text = self._held + chunk
        self._held = ""
        if "[" not in text:
            return text
        begun = text.rfind("[")
        if self._pseudonyms.begins(text[begun:]) and self._pseudonyms.original(text[begun:]) is None:
            self._held = text[begun:]
            text = text[:begun]
        return self._restored(text)

    def flush(self) -> str:
        """The text is over: return the rest."""
        rest, self._held = self._held, ""
        return rest

    def _restored(self, text: str) -> str:
        return re.sub(r"\[[^\[\]]+\]", self._restore, text)

    def _restore(self, match: re.Match[str]) -> str:
        original = self._pseudonyms.original(match.group())
        if original is None:
            return match.group()
        return json.dumps(original, ensure_ascii=False)[1:-1] if self._json else original


def _clusters(findings: Sequence[Finding]) -> list[tuple[int, int, str, bool]]:
    """Spans that overlap joined to one, with the type of the longest, and whether one of them is to be masked."""
    joined: list[tuple[int, int, Finding, bool]] = []
    for one in sorted(findings, key=lambda finding: (finding.start, -finding.end)):
        masked = one.action is Action.mask
        if joined and one.start < joined[-1][1]:
            start, end, longest, any_masked = joined[-1]
            longest = max(longest, one, key=lambda finding: finding.end - finding.start)
            joined[-1] = (start, max(end, one.end), longest, any_masked or masked)
        else:
            joined.append((one.start, one.end, one, masked))
    return [(start, end, longest.type, masked) for start, end, longest, masked in joined]


def _alone(value: str) -> str:
    """The value as a pattern; numbers and Latin words are not found inside longer ones."""
    before = "(?<![0-9A-Za-z])" if is_word(value[0]) else ""
    after = "(?![0-9A-Za-z])" if is_word(value[-1]) else ""
    return before + re.escape(value) + after


def _unescaped(value: str) -> str:
    """What a piece of a JSON string stands for; as it is where it is no whole piece."""
    try:
        text: str = json.loads(f'"{value}"')
    except ValueError:
        return value
    return text

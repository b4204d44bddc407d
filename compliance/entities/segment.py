"""Running text as tokens with the classes of the model: what stands left of an organisation or a house number."""

import re
from typing import NamedTuple

from compliance.entities.lattice import Candidate, cheapest
from compliance.entities.model import UNKNOWN_CLASS, EntityModel

_PARTS = re.compile(r"[\u4e00-\u9fff]+|[0-9a-z&'.-]+|\([^()]{1,12}\)|.", re.DOTALL)
LATIN_CLASS = "l"
BRACKET_CLASS = "b"
NAME_CLASS = "r"
OTHER_CLASS = "-"


class Token(NamedTuple):
    """A word, its span and its class."""

    start: int
    end: int
    text: str
    class_: str


def tokens(model: EntityModel, text: str, start: int, end: int, names: list[Candidate]) -> list[Token]:
    """The tokens of `text[start:end]`; single characters that are in no word stay apart."""
    found: list[Token] = []
    for match in _PARTS.finditer(text, start, end):
        part = match.group()
        if "\u4e00" <= part[0] <= "\u9fff":
            inside = [one for one in names if match.start() <= one.start and one.end <= match.end()]
            for left, right, kind in cheapest(text, match.start(), match.end(), model.cost, inside):
                word = text[left:right]
                class_ = model.class_of.get(word, UNKNOWN_CLASS) if kind == "word" else NAME_CLASS
                found.append(Token(left, right, word, class_))
        elif part[0] == "(" and len(part) > 1:
            found.append(Token(match.start(), match.end(), part, BRACKET_CLASS))
        elif part[0].isalnum():
            found.append(Token(match.start(), match.end(), part, LATIN_CLASS))
        else:
            found.append(Token(match.start(), match.end(), part, OTHER_CLASS))
    return found

"""Unified social credit codes (GB 32100): 18 characters, the last one a check modulo 31."""

from compliance.pii.detector import Detector, digits_of, soon
from compliance.pii.id_card import REGIONS

ALPHABET = "0123456789abcdefghjklmnpqrtuwxy"
_CLASS = "[0-9a-hj-npqrtuwxy]"


def is_valid(value: str) -> bool:
    """The region exists (10 is national) and the check character fits."""
    code = digits_of(value)
    if code[2:4] not in REGIONS | {"10"}:
        return False
    total = sum(ALPHABET.index(char) * pow(3, place, 31) for place, char in enumerate(code[:17]))
    return ALPHABET[(31 - total % 31) % 31] == code[17]


DETECTOR = Detector(
    type="uscc",
    rule="uscc",
    why="a unified social credit code with a correct check character",
    strength=80,
    lead="123456789any",
    not_after="0-9a-z",
    ahead=soon("[0-9a-y]", *["[0-9 ]"] * 6),
    core=rf"[1-9any]{_CLASS}(?:[ ]?[0-9]){{6}}(?:[ ]?{_CLASS}){{10}}",
    after="(?![0-9a-z])",
    valid=is_valid,
)

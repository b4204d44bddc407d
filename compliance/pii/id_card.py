"""Resident identity card numbers, residence permits of Hong Kong, Macau and Taiwan residents included.

GB 11643: region, birth date, sequence, ISO 7064 MOD 11-2 check character.
"""

from datetime import date

from compliance.pii.detector import Detector, digits_of, soon

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10x98765432"
REGIONS = frozenset(
    str(code)
    for first, last in ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 83))
    for code in range(first, last + 1)
)


def is_valid(value: str) -> bool:
    """Known region, a real birth date that is not in the future, and the check character."""
    number = digits_of(value)
    if number[:2] not in REGIONS or not _is_birth_date(number[6:14]):
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number[:17], strict=True))
    return _CHECKS[total % 11] == number[17]


def _is_birth_date(text: str) -> bool:
    try:
        born = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return date(1850, 1, 1) <= born <= date.today()


DETECTOR = Detector(
    type="id_card",
    rule="id_card",
    why="an identity card or residence permit number with a real birth date and a correct check character",
    strength=90,
    lead="12345678",
    ahead=soon(*["[0-9 -]"] * 8),
    core=r"[1-8](?:[ -]?[0-9]){16}[ -]?[0-9x]",
    after="(?<=x)|(?![0-9])",
    valid=is_valid,
)

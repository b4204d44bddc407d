"""Mainland mobile numbers: 1[3-9] and nine digits, with or without +86, spaced in the usual ways."""

from compliance.pii.detector import NO_NUMBER_BEFORE, Detector, soon

_COUNTRY = r"(?:(?:\+|00)86[ -]?|\(\+?86\)[ -]?|86[ -]?)?"
_SEP = "[ .-]"

GROUPED = Detector(
    type="mobile",
    rule="mobile",
    why="eleven digits of a mainland mobile number",
    strength=60,
    lead="+(018",
    ahead=soon(*[r"[0-9+() .-]"] * 9),
    core=(
        rf"{_COUNTRY}(?:1[3-9][0-9](?:{_SEP}?[0-9]{{4}}){{2}}|1[3-9][0-9]{_SEP}[0-9]{{3}}{_SEP}[0-9]{{5}}"
        rf"|1[3-9][0-9]{{2}}{_SEP}[0-9]{{4}}{_SEP}[0-9]{{3}})"
    ),
    pending=r"\.?",
    after=r"(?![0-9]|\.[0-9])",  # an amount has decimals
    refuse=rf"{NO_NUMBER_BEFORE}|(?:[0-9]{{4}} ){{2}}$",  # the end of a longer number in groups of four
)
DIGIT_BY_DIGIT = Detector(
    type="mobile",
    rule="mobile.spaced",
    why="eleven digits of a mainland mobile number, written one by one",
    strength=60,
    lead="1",
    ahead=soon(*[_SEP, "[0-9]"] * 3),
    core=rf"1{_SEP}[3-9](?:{_SEP}[0-9]){{9}}",
    pending=f"{_SEP}?",
    after=rf"(?!{_SEP}?[0-9])",  # a longer row of digits is a row of figures
    refuse=rf"[0-9]{_SEP}$",
)

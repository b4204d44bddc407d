"""Mainland mobile numbers: 1[3-9] and nine digits, with or without +86, spaced in the usual ways."""

from compliance.pii.detector import Detector, soon

_COUNTRY = r"(?:(?:\+|00)86[ -]?|\(\+?86\)[ -]?|86[ -]?)?"
_SEP = "[ .-]"

DETECTOR = Detector(
    type="mobile",
    rule="mobile",
    why="eleven digits of a mainland mobile number",
    strength=60,
    lead="+(018",
    ahead=soon(*[r"[0-9+() .-]"] * 9),
    core=(
        rf"{_COUNTRY}(?:1[3-9][0-9](?:{_SEP}?[0-9]{{4}}){{2}}"
        rf"|1[3-9][0-9]{_SEP}[0-9]{{3}}{_SEP}[0-9]{{5}}"
        rf"|1{_SEP}[3-9](?:{_SEP}[0-9]){{9}})"
    ),
    refuse=r"[0-9][.,]$",
)

"""Landline numbers: an area code with its 0 (or +86), then seven or eight digits that start with 2 to 8.

After a hyphen or a bracket eight digits may start with 1, as in many an example.
"""

from compliance.pii.detector import NO_NUMBER_BEFORE, Detector, soon

_BIG = "(?:10|2[0-57-9])"
_SMALL = "[3-9][0-9]{2}"
_EXTENSION = "(?:-[0-9]{1,5}|[ ]?(?:转|分机|ext)[.:]?[ ]?[0-9]{1,6})?"

DETECTOR = Detector(
    type="landline",
    rule="landline",
    why="an area code and a local number of a sane length",
    strength=50,
    lead="0(+",
    ahead=soon(*["[0-9() -]"] * 8),
    core=(
        rf"(?:(?:(?:\+86[ -]?)?\(0{_BIG}\)|0{_BIG}|(?:\+|00)86[ -]?0?{_BIG})[ -]{{0,2}}[2-8][0-9]{{3}}[ -]?[0-9]{{4}}"
        rf"|(?:(?:\+86[ -]?)?\(0{_SMALL}\)|0{_SMALL}|(?:\+|00)86[ -]?0?{_SMALL})"
        rf"[ -]{{0,2}}[2-8][0-9]{{2,3}}[ -]?[0-9]{{4}}"
        rf"|(?:\(0(?:{_BIG}|{_SMALL})\)|0(?:{_BIG}|{_SMALL})-)1[0-9]{{3}}[ -]?[0-9]{{4}})"
        rf"{_EXTENSION}"
    ),
    after="(?![0-9a-z])",
    refuse=NO_NUMBER_BEFORE,
)

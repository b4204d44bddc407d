"""Mainland passports: E and 8 digits, E with a letter and 7, older G and service kinds; needs 护照 beside it."""

from compliance.pii.detector import BELONGS_TO, SAME_SENTENCE, Detector, soon

_NUMBER = r"(?:[eg](?:[ -]?[0-9]){8}|e[a-hj-np-z](?:[ -]?[0-9]){7}|[dsp]e?(?:[ -]?[0-9]){7})"
_AHEAD = soon("[0-9a-z -]", *["[0-9 -]"] * 6)

DETECTOR = Detector(
    type="passport",
    rule="passport",
    why="a passport number after a word for passport",
    strength=45,
    lead="egdsp",
    not_after="0-9a-z",
    ahead=_AHEAD,
    core=_NUMBER,
    after="(?![0-9a-z])",
    context="(?:护照|passport)" + SAME_SENTENCE,
)
BEFORE_WORD = Detector(
    type="passport",
    rule="passport.before",
    why="a passport number right before a word for passport",
    strength=44,
    lead="egdsp",
    not_after="0-9a-z",
    ahead=_AHEAD,
    core=f"(?P<value>{_NUMBER}){BELONGS_TO}护照",
    after="",
)

"""Mainland passports: E and 8 digits, E with a letter and 7, older G and service kinds; needs 护照 before it."""

from compliance.pii.detector import SAME_SENTENCE, Detector, soon

DETECTOR = Detector(
    type="passport",
    rule="passport",
    why="a passport number after a word for passport",
    strength=45,
    lead="egdsp",
    not_after="0-9a-z",
    ahead=soon("[0-9a-z -]", *["[0-9 -]"] * 6),
    core=r"(?:[eg](?:[ -]?[0-9]){8}|e[a-hj-np-z](?:[ -]?[0-9]){7}|[dsp]e?(?:[ -]?[0-9]){7})",
    after="(?![0-9a-z])",
    context="(?:护照|passport)" + SAME_SENTENCE,
)

"""Permits for travel to and from Hong Kong and Macau; needs a word for the permit before it."""

from compliance.pii.detector import SAME_SENTENCE, Detector, soon

DETECTOR = Detector(
    type="hk_macau_permit",
    rule="hk_macau_permit",
    why="a Hong Kong or Macau travel permit number after a word for the permit",
    strength=45,
    lead="chm",
    not_after="0-9a-z",
    ahead=soon("[0-9a-z -]", *["[0-9 -]"] * 6),
    core=r"(?:c(?:[ -]?[0-9]){8}|c[a-hj-np-z](?:[ -]?[0-9]){7}|[hm](?:[ -]?[0-9]){8}(?:[0-9]{2})?)",
    after="(?![0-9a-z])",
    context="(?:通行证|回乡证|港澳|permit)" + SAME_SENTENCE,
)

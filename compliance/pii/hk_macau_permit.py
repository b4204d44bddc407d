"""Permits for travel to and from Hong Kong and Macau; needs a word for the permit beside it."""

from compliance.pii.detector import BELONGS_TO, SAME_SENTENCE, Detector, soon

_NUMBER = r"(?:c(?:[ -]?[0-9]){8}|c[a-hj-np-z](?:[ -]?[0-9]){7}|[hm](?:[ -]?[0-9]){8}(?:[0-9]{2})?)"
_AHEAD = soon("[0-9a-z -]", *["[0-9 -]"] * 6)

DETECTOR = Detector(
    type="hk_macau_permit",
    rule="hk_macau_permit",
    why="a Hong Kong or Macau travel permit number after a word for the permit",
    strength=45,
    lead="chm",
    not_after="0-9a-z",
    ahead=_AHEAD,
    core=_NUMBER,
    after="(?![0-9a-z])",
    context="(?:通行证|回乡证|港澳|permit)" + SAME_SENTENCE,
)
BEFORE_WORD = Detector(
    type="hk_macau_permit",
    rule="hk_macau_permit.before",
    why="a Hong Kong or Macau travel permit number right before a word for the permit",
    strength=44,
    lead="chm",
    not_after="0-9a-z",
    ahead=_AHEAD,
    core=f"(?P<value>{_NUMBER}){BELONGS_TO}(?:往来|来往)?(?:港澳)?(?:居民)?(?:来往内地)?(?:通行证|回乡证)",
    after="",
)

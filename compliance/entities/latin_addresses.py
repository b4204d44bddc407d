"""Addresses in English: a number and a street, rooms before or after it, and the areas that commas join."""

import re

_UNIT = (
    "street|st|road|rd|avenue|ave|boulevard|blvd|lane|ln|drive|dr|court|ct|place|pl|way|square|sq|terrace|highway|hwy"
    "|parkway"
)
_NAME = "(?:[a-z'.]{2,20}|[0-9]{1,3}(?:st|nd|rd|th))"
_ROOM = (
    r"(?:(?:room|rm\.?|unit|flat|suite|ste\.?|apt\.?|apartment|building|bldg\.?|block|floor|tower)[ ]#?[0-9a-z-]{1,6}"
    "|#[0-9a-z-]{1,6}|[0-9]{1,3}(?:st|nd|rd|th)?/?f(?:loor)?)"
)
_NUMBER = r"(?:no\.?[ ]?)?[0-9]{1,5}(?:-[0-9]{1,4})?,?[ ]"
_BEARING = r"(?:(?:north|south|east|west|n|s|e|w)\.?[ ])?"
_AFTER_UNIT = r"(?![a-z])\.?(?:[ ](?:central|north|south|east|west)(?![a-z]))?"
_AREA = "(?:[a-z'.]{2,20}[ ]){1,3}(?:district|city|county|province|town|township|new area|village|subdistrict)"
_CITY = r"(?:,[ ]?[a-z']{3,20}(?:[ ][a-z']{3,20}(?=[^ a-z]|$))?){0,2}"
_STATE_AND_CODE = "(?:,[ ]?[a-z]{2}(?![a-z]))?(?:,?[ ][0-9]{4,6}(?:-[0-9]{4})?(?![0-9]))?(?:,[ ]?(?:china|usa|uk))?"

_ADDRESS = re.compile(
    f"(?<![0-9a-z])(?:{_ROOM},?[ ]){{0,3}}{_NUMBER}{_BEARING}(?:{_NAME}[ ]){{1,3}}(?:{_UNIT}){_AFTER_UNIT}"
    f"(?:(?:,[ ]?|[ ]){_ROOM}){{0,2}}(?:,[ ]?{_AREA}){{0,3}}{_CITY}{_STATE_AND_CODE}"
)
_QUICK = re.compile(f"[a-z] (?:{_UNIT})(?![a-z])")


def find_latin_addresses(text: str) -> list[tuple[int, int]]:
    """The spans of all addresses in a folded sentence."""
    return [match.span() for match in _ADDRESS.finditer(text)] if _QUICK.search(text) else []

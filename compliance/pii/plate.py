"""Vehicle plates: province character, letter, five characters or, for new-energy vehicles, six."""

import re

from compliance.pii.detector import Detector, soon

PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_CHAR = "[0-9a-hj-np-z]"
_SUFFIX = "挂学警港澳领"
_TAIL = re.compile(rf"{_CHAR}{{4}}[{_SUFFIX}]|[a-hjk]{_CHAR}[0-9]{{4}}|[0-9]{{5}}[a-hjk]|{_CHAR}{{5}}")


def is_valid(value: str) -> bool:
    """The tail has a form that is issued; an ordinary one holds at most two letters."""
    tail = re.sub(r"[ ·.•・-]", "", value[2:])
    if not _TAIL.fullmatch(tail):
        return False
    return len(tail) == 6 or sum(char.isdigit() for char in tail) >= (2 if tail[-1] in _SUFFIX else 3)


DETECTOR = Detector(
    type="plate",
    rule="plate",
    why="a vehicle plate: province, letter and a tail of an issued form",
    strength=55,
    lead=PROVINCES,
    not_after="\\0",
    second="a-hj-z",
    ahead=soon("[a-hj-z]", "[ ·.•・0-9a-z-]", "[0-9a-z]", "[0-9a-z]"),
    core=rf"[{PROVINCES}][a-hj-z][ ·.•・-]?{_CHAR}{{4}}(?:{_CHAR}{{1,2}}|[{_SUFFIX}])",
    after="(?![0-9a-z])",
    valid=is_valid,
)

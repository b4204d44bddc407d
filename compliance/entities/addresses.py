"""Addresses without a label or a province, found from the house number backwards: a street or an estate with a number
(文三路138号2幢301室), and what stands before it of the place.
"""

import re

from compliance.entities.model import EntityModel
from compliance.entities.segment import LATIN_CLASS, OTHER_CLASS, Token, tokens
from compliance.pii.address import DOORS, HOUSES

_STREET = "大道|大街|路|街|巷|弄|胡同|里弄"
_ESTATE = (
    "小区|社区|花园|家园|公寓|大厦|广场|新村|新城|花苑|雅苑|嘉园|名苑|华庭|豪庭|山庄|公馆|国际|中心|写字楼"
    "|科技园|产业园|工业园|创业园|软件园"
    "|宿舍|大院|苑|园|庭|府|城|湾|居|村|屯|寨|庄|组|镇|乡|街道|开发区|工业区|高新区|园区"
)
_NUMBERED = re.compile(
    rf"(?:(?:{_STREET})[东西南北中]?(?:[一二三四五六七八九十东南西北中]段)?[ ]?{DOORS}"
    rf"|(?:{_ESTATE})[东西南北中]?[一二三四五六七八九十0-9a-z]?[期区]?[ ]?(?:[a-z]座[ ]?[0-9]{{1,5}}室?|{HOUSES}))"
)
_ROOM = re.compile("[0-9a-z一二三四五六七八九十](?:号|号楼|栋|幢|座|单元|室|房|层|楼)|座[ ]?[0-9]{2,5}$")
_QUICK = re.compile("[号栋幢座室弄楼组层元](?<=[0-9a-z一二三四五六七八九十单].)")
_NOT_AFTER = re.compile("[线文令公决机员码选]|产品|课题|政策|公路|地铁|出口|楼盘")
_REACH = 40
_LONGEST_STREET = 5

_AREAS = frozenset("区县市镇乡")
_UNIT_END = tuple("省市州区县旗镇乡村路街道巷园城庄苑里弄屯寨盟湾岛")
_BEFORE = re.compile(".*[在是的了我你他她它们很就不要吗吧啊给让请说把被到住送寄往]", re.DOTALL)
_NEVER_PARTS = frozenset(
    "的是在与了有为也把被我你他她它们很就不要能到对以及或但而因吗吧啊给由向让请说等从和跟于往至去住叫"
)


class Addresses:
    """Finds addresses in a folded sentence; immutable."""

    def __init__(self, model: EntityModel) -> None:
        self._model = model
        self._short_areas = model.words["short_areas"]
        self._labels = model.words["address_labels"]

    def find(self, text: str) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for match in _NUMBERED.finditer(text) if _QUICK.search(text) else ():
            if _NOT_AFTER.match(text, match.end()) or not _ROOM.search(match.group()):
                continue
            start = self._start(text, match.start())
            if start is not None and not any(left <= start < right for left, right in found):
                found.append((start, match.end()))
        return found

    def _ends_area(self, run: list[Token]) -> bool:
        """Whether one character more may begin the name of an area: 镜 of 镜湖区, 拱 of 拱墅区."""
        if not run:
            return False
        if run[-1].text in self._short_areas:
            return True
        return len(run) > 1 and len(run[-1].text) == 1 and run[-2].text in _AREAS

    def _start(self, text: str, at: int) -> int | None:
        """Where the address begins whose street's or estate's unit begins at `at`."""
        run: list[Token] = []
        spaced = False
        left = max(0, at - _REACH)
        cut = _BEFORE.match(text, left, at)
        for token in reversed(tokens(self._model, text, cut.end() if cut else left, at, [])):
            if token.text == " " and run:
                spaced = True
                continue
            if spaced and not (token.class_ == "s" or token.text.endswith(_UNIT_END)):
                break
            spaced = False
            in_street = not run or (len(run[-1].text) == 1 and at - run[-1].start < _LONGEST_STREET)
            if len(token.text) == 1 and token.class_ != OTHER_CLASS and self._ends_area(run):
                run.append(token)
                continue
            if token.text in self._labels or not _may_be_part(token, in_street):
                break
            run.append(token)
        run.reverse()
        if not run:
            return None
        places = [index for index, token in enumerate(run) if token.class_ == "s" and len(token.text) > 1]
        if (
            places
            and all(token.class_ in "nv" for token in run[: places[0]])
            and run[places[0]].text not in self._short_areas
        ):
            run = run[places[0] :]
        return run[0].start


def _may_be_part(token: Token, in_street: bool) -> bool:
    if token.text in _NEVER_PARTS:
        return False
    if token.class_ == "f":
        return (len(token.text) <= 2 and in_street) or token.text in "东南西北中一二三四五六七八九十新老上下大小"
    if token.class_ == "v":
        return in_street or (len(token.text) == 1 and token.text in "开发通建")
    return token.class_ in "nzsoxp" or (token.class_ == LATIN_CLASS and token.text.isdigit() and len(token.text) < 4)

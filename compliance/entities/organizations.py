"""Organisations in Chinese: a suffix such as 有限公司 proposes, the words before it say whether that is a name.

A name has something of its own in front of what it does: a place, a word that no dictionary has, a proper name.
保险公司 and 附近的医院 have none.
"""

import re
from collections.abc import Iterable, Sequence

from compliance.entities.model import EntityModel
from compliance.entities.organization_forms import (
    BODIES,
    LEGAL,
    NAMED_BY_PLACE,
    PARTNERS,
    TOO_GENERAL,
    suffixes,
)
from compliance.entities.segment import BRACKET_CLASS, LATIN_CLASS, NAME_CLASS, Token, tokens
from compliance.pii.address import CITIES, PROVINCES, REGIONS

_LARGE_PLACES = frozenset(
    f"{PROVINCES}|{REGIONS}|{CITIES}|中国|美国|日本|韩国|英国|法国|德国|香港|澳门|台湾|农村|乡村|城市".split("|")
)
_BEFORE = re.compile(".*(?:[了我你他她们是给让请把被吗吧喺嘅咗哋佢唔冇]|在(?!线)|的)", re.DOTALL)
_JOINING = frozenset("和与同为")
_NEVER_PARTS = frozenset(
    "的是在与了有为也把被这那我你他她它们很就不要能去到对以及或但而因所呢吗吧啊给由向让请说等从和跟同于自来做读上进入"
    "找问见用看但却又还已正个一些每再曾将可没都前后里外间时人待"
)
_NO_KNOWN = ("人民", "公安", "最高", "检察", "派出", "中级", "高级", "上级", "地方", "各级", "国务")
_REACH = 30
_PLACE = re.compile("\\(([\u4e00-\u9fff]{2,4})\\)")
_ORDINAL = re.compile("第?[一二三四五六七八九十百零〇]+$")


class Organizations:
    """Finds organisations in a folded sentence; immutable."""

    def __init__(self, model: EntityModel) -> None:
        self._model = model
        self._generic = model.words["generic"]
        self._roles = model.words["roles"]
        self._relating = model.words["relating"]

    def find(self, text: str, endings: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """The spans of all organisations, each as long as its parts go on; `endings`: where all suffixes stand."""
        found: list[tuple[int, int]] = []
        for at, end in suffixes(text, endings):
            if found and found[-1][1] <= at and self._goes_on(text, found[-1][1], at):
                start: int | None = found[-1][0]
            else:
                start = self._start(text, at, end)
            if start is None:
                continue
            while found and found[-1][1] > start:
                start = min(start, found.pop()[0])
            found.append((start, self._with_bracket(text, end)))
        return found

    def _with_bracket(self, text: str, end: int) -> int:
        """The end of the name with (特殊普通合伙) or the place of a campus."""
        partners = PARTNERS.match(text, end)
        if partners:
            return partners.end()
        place = _PLACE.match(text, end)
        return place.end() if place and self._model.class_of.get(place[1]) == "s" else end

    def _goes_on(self, text: str, start: int, end: int) -> bool:
        """Whether an organisation that ended at `start` goes on to the next suffix, as a branch does."""
        read = tokens(self._model, text, start, end, [])
        return all(
            self._may_be_part(read, index)
            and token.text not in _JOINING
            and (token.class_ != "v" or len(token.text) == 1 or token.text in self._generic)
            for index, token in enumerate(read)
        )

    def _start(self, text: str, at: int, end: int) -> int | None:
        """Where the name begins whose suffix lies at `at` to `end`; None when there is none."""
        run = self._run_before(text, at)
        if run and self._is_proper(run, text[at:end]):
            return run[0].start
        for size in (4, 3):
            known = text[end - size : end] if end >= size else ""
            if self._model.class_of.get(known) == "o" and not known.startswith(_NO_KNOWN):
                return end - size
        return None

    def _run_before(self, text: str, at: int) -> list[Token]:
        """The words before a suffix that may be parts of the name."""
        left = max(0, at - _REACH)
        cut = _BEFORE.match(text, left, at)
        if cut and cut.end() == at:
            return []
        run: list[Token] = []
        read = tokens(self._model, text, cut.end() if cut else left, at, [])
        for index in range(len(read) - 1, -1, -1):
            if not self._may_be_part(read, index):
                break
            run.append(read[index])
        run.reverse()
        return self._without_head(run, bool(run) and not "\u4e00" <= text[run[0].start - 1 : run[0].start] <= "\u9fff")

    def _may_be_part(self, read: Sequence[Token], index: int) -> bool:
        token = read[index]
        if token.text in self._generic or token.class_ in BRACKET_CLASS + LATIN_CLASS + NAME_CLASS:
            return True
        if token.text in _JOINING:  # 佳和食品: one character before it, and before that nothing that goes on
            return (
                index > 0
                and len(read[index - 1].text) == 1
                and read[index - 1].class_ in "nxv"
                and (index == 1 or read[index - 2].text in self._roles or read[index - 2].class_ in "-s")
            )
        if token.text in _NEVER_PARTS or token.text in self._relating:
            return False
        if token.class_ == "v" and len(token.text) > 1 and index + 1 < len(read) and read[index + 1].class_ == "s":
            return False  # 转入成都市第七中学
        if token.class_ == "f":
            return len(token.text) == 1 or bool(_ORDINAL.match(token.text))
        return token.class_ in "nzsopxv"

    def _without_head(self, run: list[Token], first_of_all: bool) -> list[Token]:
        """Cut what stands before the name: everything before the first place, else words for roles.

        Where nothing stands before the run, one character may belong to the place: 星河湾.
        """
        for at, token in enumerate(run):
            if token.class_ in "so" and len(token.text) > 1 and token.text not in self._generic:
                before = run[:at]
                if before and (before[-1].text == "国立" or (len(before) == 1 == len(before[0].text) and first_of_all)):
                    return run[at - 1 :]
                if all(one.class_ in "nfvx" or one.text in self._roles for one in before) or before[-1].class_ == "v":
                    return run[at:]
                break
        while run and (run[0].text in self._roles or run[0].class_ == BRACKET_CLASS):
            run = run[1:]
        return run

    def _is_proper(self, run: Sequence[Token], suffix: str) -> bool:
        """Whether something in front of the suffix tells this organisation from others."""
        own = [one for one in run if one.class_ not in ("s", BRACKET_CLASS) and one.text not in self._generic]
        places = [one for one in run if one.class_ in "so" and len(one.text) > 1 and one.text not in self._generic]
        if not own and len(run) == 1 and suffix in NAMED_BY_PLACE and run[0].class_ == "s":
            return suffix == "中学" or run[0].text.removesuffix("市").removesuffix("省") not in _LARGE_PLACES
        if not places and any(one.class_ in "fv" and len(one.text) > 1 for one in own[1:]):
            return False
        legal = suffix in LEGAL
        if suffix in TOO_GENERAL:
            return bool(places) and any(one.class_ in "zx" for one in own)
        if places and (legal or suffix in BODIES or len(run) > len(places)):
            return True
        if legal:
            return bool(own)
        return any(
            one.class_ in "zxop" + NAME_CLASS or (one.class_ == LATIN_CLASS and len(one.text) > 1) for one in own
        )

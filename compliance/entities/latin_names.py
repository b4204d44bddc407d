"""Names in Latin letters, English or pinyin. Folded text has no capitals, so lists and labels must tell.

A known first name with a known surname is a name; after a label or a title less is asked for.
"""

import re

from compliance.entities.model import EntityModel

_CUES = (
    "my name is|name is|named|called|full name|customer name|contact person|name|contact|recipient|consignee|cardholder"
    "|passenger|patient|employee|attn|attention|signed by|signed|regards|sincerely|yours truly|cheers|thanks|i am|i'm"
    "|this is|dear|hi|hello|ask for|speak to|speak with|met with|manager|engineer|director|ceo|cto|cfo|client|customer"
    "|colleague|姓名|英文名|名字|联系人|收件人|收货人|我叫|我是|客户|同事|抄送"
)
_CUE = re.compile(rf"(?<![a-z])(?:{_CUES})(?:[ ]?[:,=][ \n]{{0,2}}|[ ]|(?<=[\u4e00-\u9fff]))$")
_TITLE = re.compile(r"(?<![a-z])(?:mr|mrs|ms|miss|dr|prof|professor|sir|madam)[. ]{1,2}$")
_TITLE_AFTER = re.compile("[ ]?(?:先生|女士|小姐|老师|经理)")
_WORD = re.compile(r"(?<![0-9a-z@._/-])[a-z]{2,}(?:['-][a-z]{2,})?(?![0-9a-z@_/]|\.[a-z0-9])")
_NEXT = re.compile(r"[ ](?:([a-z])(\.?)[ ])?([a-z]{2,}(?:['-][a-z]{2,})?|[od]'[a-z]{3,})(?![0-9a-z@_/]|\.[a-z0-9])")

# A word after a first name that is hardly one of a sentence: those soon end like these.
_UNKNOWN_SURNAME = re.compile(
    "(?!.*(?:ed|ing|ly|s|er|tion|ment|ful|ous|able|ive|est|ow|ay|ht|ly|ce|ge|se|ue|al|ic|ary|ory|less|ness)$)[a-z]{6,}"
)

_INITIAL = "b|p|m|f|d|t|n|l|g|k|h|j|q|x|zh|ch|sh|r|z|c|s|y|w"
_FINAL = "a|o|e|ai|ei|ao|ou|an|en|ang|eng|ong|i|ia|ie|iao|iu|ian|in|iang|ing|iong|u|ua|uo|uai|ui|uan|un|uang|ue|v|ve"
_SYLLABLE = f"(?:(?:{_INITIAL})(?:{_FINAL})|an|ang|ai|ao|en|er)"
_PINYIN = re.compile(f"{_SYLLABLE}(?:[-' ]?{_SYLLABLE})?")


class LatinNames:
    """Finds names in a folded sentence; immutable. Spans come with whether it is a surname with a title only."""

    def __init__(self, model: EntityModel) -> None:
        self._stops = model.words["latin_stops"]
        self._plain = model.words["latin_plain"]
        self._english_pinyin = model.words["latin_pinyin"]
        self._first = model.latin["first"]
        self._last = model.latin["last"]
        self._pinyin = model.latin["pinyin"]
        self._faint = model.latin["faint"]

    def find(self, text: str) -> list[tuple[int, int, bool]]:
        found: list[tuple[int, int, bool]] = []
        at = 0
        while match := _WORD.search(text, at):
            span = self._name_at(text, match)
            at = span[1] if span else match.end()
            if span:
                found.append(span)
        return found

    def _name_at(self, text: str, match: re.Match[str]) -> tuple[int, int, bool] | None:
        word, start, end = match.group(), match.start(), match.end()
        known = word in self._first or word in self._last or word in self._pinyin
        before = text[max(0, start - 24) : start]
        titled = _TITLE.search(before) is not None
        if not known and not titled:
            return None
        cued = titled or _CUE.search(before) is not None
        following = _NEXT.match(text, end)
        lesson = (
            not cued
            and word in self._pinyin
            and self._among_syllables(text, start, following.end() if following else end)
        )
        if following and not lesson and following[3] not in self._stops and self._is_pair(word, following[3], cued):
            return start, self._end_of(text, following.end(), word), False
        if titled:
            return start, end, True
        if (
            (cued or _TITLE_AFTER.match(text, end))
            and word in self._first
            and word not in self._plain
            and _ends(text, end)
        ):
            return start, end, False
        return None

    def _is_pair(self, word: str, other: str, cued: bool) -> bool:
        """Whether two words in a row are a name."""
        if self._is_pinyin_name(word, other, cued) or (cued and self._is_pinyin_name(other, word, cued)):
            return True
        if cued:
            return word in self._first or word in self._last
        if word not in self._first:
            return False
        if other in self._last or other.startswith(("o'", "d'")):
            return word not in self._plain or (other not in self._plain and other not in self._first)
        return word not in self._plain and len(word) > 3 and _UNKNOWN_SURNAME.fullmatch(other) is not None

    def _is_pinyin_name(self, surname: str, given: str, cued: bool) -> bool:
        if surname not in self._pinyin or not _PINYIN.fullmatch(given):
            return False
        return cued or (surname not in self._faint and given not in self._english_pinyin and given not in self._stops)

    def _end_of(self, text: str, end: int, first: str) -> int:
        """A third word where it is a surname, or one more syllable in pinyin."""
        following = _NEXT.match(text, end)
        if following and not following[1] and (following[3] in self._last and following[3] not in self._plain):
            return following.end()
        if (
            following
            and first in self._pinyin
            and _PINYIN.fullmatch(following[3])
            and following[3] not in self._english_pinyin | self._stops
        ):
            return following.end()
        return end

    def _among_syllables(self, text: str, start: int, end: int) -> bool:
        """Whether more pinyin stands on either side: a lesson, not a name."""
        before = re.search(r"([a-z]+)[ ]$", text[max(0, start - 9) : start])
        after = re.match(r"[ ]([a-z]+)", text[end : end + 9])
        return any(
            beside and _PINYIN.fullmatch(beside[1]) and beside[1] not in self._stops for beside in (before, after)
        )


def _ends(text: str, end: int) -> bool:
    return end >= len(text) or not (text[end] == " " and text[end + 1 : end + 2].isalpha() and text[end + 1] < "\u2e80")

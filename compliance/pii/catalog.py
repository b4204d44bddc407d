"""All detectors, and the pre-filter that is compiled from them: one pass says where a value may begin."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from compliance.pii import (
    address,
    bank_card,
    email,
    hk_macau_permit,
    id_card,
    ipv4,
    landline,
    mobile,
    passport,
    person_name,
    plate,
    qq,
    uscc,
    wechat,
)
from compliance.pii.detector import CONTEXT, Detector

DETECTORS: tuple[Detector, ...] = (
    id_card.DETECTOR,
    uscc.DETECTOR,
    bank_card.BY_PREFIX,
    bank_card.BY_LABEL,
    mobile.GROUPED,
    mobile.DIGIT_BY_DIGIT,
    landline.DETECTOR,
    plate.DETECTOR,
    passport.DETECTOR,
    passport.BEFORE_WORD,
    hk_macau_permit.DETECTOR,
    hk_macau_permit.BEFORE_WORD,
    email.DETECTOR,
    ipv4.BARE,
    ipv4.BY_LABEL,
    ipv4.BEFORE_WORD,
    ipv4.WITH_PORT,
    wechat.BY_LABEL,
    wechat.BY_MENTION,
    wechat.BY_SENTENCE,
    wechat.BY_FORM,
    qq.DETECTOR,
    person_name.AFTER_LABEL,
    person_name.AFTER_CALLED,
    person_name.AFTER_ROLE,
    person_name.BEFORE_TITLE,
    person_name.SURNAME_WITH_TITLE,
    person_name.BEFORE_RECEIPT,
    address.AT_PLACE,
    address.AFTER_LABEL,
)

REACH = CONTEXT + 2
_NEVER = "(?!)"
_KINDS = (("a-z", "0-9a-z"), ("0-9", "0-9"), ("^0-9a-z", ""))
"""Kinds of first characters, and what no detector that begins with them may follow."""


@dataclass(frozen=True)
class PreFilter:
    """Finds the places where one of some detectors may begin, without running their patterns."""

    by_lead: dict[str, tuple[Detector, ...]]
    by_cue: tuple[Detector, ...]
    opening: re.Pattern[str]
    cue: re.Pattern[str]

    def places(self, window: str, seen: int) -> list[tuple[int, Detector]]:
        """Each place from `seen` on with each detector that may find something there."""
        found: list[tuple[int, Detector]] = []
        for match in self.opening.finditer(window, seen):
            start = match.start()
            found += [(start, one) for one in self.by_lead[window[start]] if one.may_start(window, start)]
        for match in self.cue.finditer(window, seen - 1 if seen else 0):
            start = match.end()
            if seen <= start < len(window):
                found += [(start, one) for one in self.by_cue if one.may_start(window, start)]
        return found


def compile_prefilter(detectors: Sequence[Detector]) -> PreFilter:
    """Join the cheap tests of many detectors into one pattern."""
    led = [detector for detector in detectors if detector.lead]
    cued = [detector for detector in detectors if not detector.lead]
    return PreFilter(
        by_lead={
            char: tuple(one for one in led if char in one.lead) for char in sorted({c for one in led for c in one.lead})
        },
        by_cue=tuple(cued),
        opening=re.compile(_opening(led), re.DOTALL),
        cue=re.compile("|".join(dict.fromkeys(one.cue for one in cued)) or _NEVER),
    )


def _opening(detectors: Sequence[Detector]) -> str:
    """One class of all first characters, then the tests of those that share a kind of first character."""
    if not detectors:
        return _NEVER
    branches = "|".join(_branch(kind, before, detectors) for kind, before in _KINDS)
    return f"{_class(''.join(one.lead for one in detectors))}(?:{branches})"


def _branch(kind: str, before: str, detectors: Sequence[Detector]) -> str:
    """The tests of the detectors that begin with this kind of character, by their left boundary.

    What no such detector may follow is tested first: it ends most positions, those inside words.
    """
    tests: dict[str, dict[str, None]] = {}
    for one in detectors:
        lead = "".join(re.findall(f"[{kind}]", one.lead))
        if lead:
            if not one.not_after.startswith(before):
                raise ValueError(f"{one.rule}: a value that begins with [{kind}] may not follow [{before}]")
            tests.setdefault(one.boundary, {})[f"(?<={_class(lead)}){one.ahead}"] = None
    by_boundary = "|".join(f"{boundary}(?:{'|'.join(group)})" for boundary, group in tests.items()) or _NEVER
    return f"(?<=[{kind}]){f'(?<![{before}].)' if before else ''}(?:{by_boundary})"


def _class(chars: str) -> str:
    return f"[{re.escape(''.join(sorted(set(chars))))}]"

"""All detectors, and the pre-filter that is compiled from them: one pass says where a value may begin."""

import re
from collections.abc import Iterator, Sequence
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
    mobile.DETECTOR,
    landline.DETECTOR,
    plate.DETECTOR,
    passport.DETECTOR,
    hk_macau_permit.DETECTOR,
    email.DETECTOR,
    ipv4.BARE,
    ipv4.BY_LABEL,
    wechat.BY_LABEL,
    wechat.BY_MENTION,
    qq.DETECTOR,
    person_name.AFTER_LABEL,
    person_name.AFTER_CALLED,
    person_name.BEFORE_TITLE,
    address.AT_PLACE,
    address.AFTER_LABEL,
)

REACH = CONTEXT + 2
_CUE_SIZE = 2
_NEVER = "(?!)"


@dataclass(frozen=True)
class PreFilter:
    """Finds the places where one of some detectors may begin, without running their patterns."""

    by_lead: dict[str, tuple[Detector, ...]]
    by_cue: tuple[Detector, ...]
    opening: re.Pattern[str]
    cue: re.Pattern[str]

    def places(self, window: str, seen: int) -> Iterator[tuple[int, Detector]]:
        """Each place from `seen` on with each detector that may find something there."""
        for match in self.opening.finditer(window, seen):
            start = match.start()
            for detector in self.by_lead[window[start]]:
                if detector.may_start(window, start):
                    yield start, detector
        for match in self.cue.finditer(window, max(0, seen - _CUE_SIZE)):
            start = match.end()
            if seen <= start < len(window):
                for detector in self.by_cue:
                    if detector.may_start(window, start):
                        yield start, detector


def compile_prefilter(detectors: Sequence[Detector]) -> PreFilter:
    """Join the cheap tests of many detectors into one pattern."""
    led = [detector for detector in detectors if detector.lead]
    cued = [detector for detector in detectors if not detector.lead]
    leads = sorted({char for detector in led for char in detector.lead})
    tests = dict.fromkeys(f"(?<=[{re.escape(one.lead)}]){one.opening}" for one in led)
    opening = f"[{re.escape(''.join(leads))}](?:{'|'.join(tests)})" if led else _NEVER
    return PreFilter(
        by_lead={char: tuple(one for one in led if char in one.lead) for char in leads},
        by_cue=tuple(cued),
        opening=re.compile(opening, re.DOTALL),
        cue=re.compile("|".join(dict.fromkeys(one.cue for one in cued)) or _NEVER),
    )

"""All detectors of personal information."""

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

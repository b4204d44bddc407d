"""Bank card numbers: 16 to 19 digits, Luhn, and a prefix that cards in China have.

One in ten digit runs passes Luhn, and order numbers are as long as cards. So without a word like 卡号 before
it a number must begin like a card: 62 UnionPay, 4 Visa, 51-55 and 22-27 Mastercard, 35 JCB, 60 and 65
Discover and old domestic cards, 95 old ICBC and ABC cards; the foreign schemes have 16 digits only. A number
right after 订单号, 运单号 and the like is no card.
"""

from compliance.pii.detector import DIGITS, SAME_SENTENCE, Detector, digits_of, soon

_REST = r"(?:[ -]?[0-9]){12,15}"
_ORDER = (
    r"(?:订单|运单|快递|物流|流水|交易|单|编|序列|批次|货|发票|追踪|跟踪|条|order|tracking|waybill|serial|sku)"
    r"[ ]?(?:号码?|编号|no\.?|number|id|#)?[\"' ]{0,2}(?:[:：=#]|是|为)?[\"' ]{0,3}$"
    r"|[0-9]\.$"
)
_CARD = r"(?:银行卡|信用卡|储蓄卡|借记卡|工资卡|卡号|账号|帐号|账户|帐户|card|account)" + SAME_SENTENCE
_ANY_LENGTH = ("62", "60", "65", "95")


def passes_luhn(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def is_card(value: str) -> bool:
    """Luhn, and a length that fits the prefix."""
    number = digits_of(value)
    return (len(number) == 16 or number.startswith(_ANY_LENGTH)) and is_labelled_card(number)


def is_labelled_card(value: str) -> bool:
    """Luhn, and not one digit over and over."""
    number = digits_of(value)
    return passes_luhn(number) and len(set(number)) > 1


BY_PREFIX = Detector(
    type="bank_card",
    rule="bank_card.prefix",
    why="a bank card number with a known prefix and a correct Luhn check",
    strength=70,
    lead="234569",
    ahead=soon("[0-9]", "[0-9]", "[0-9]", *["[0-9 -]"] * 8),
    core=rf"(?:4[0-9]|2[2-7]|35|5[1-5]|6[025]|95)[0-9]{{2}}{_REST}",
    refuse=_ORDER,
    shortest=16,
    valid=is_card,
)
BY_LABEL = Detector(
    type="bank_card",
    rule="bank_card.label",
    why="a number with a correct Luhn check after a word for a bank card",
    strength=71,
    lead=DIGITS[1:],
    ahead=soon("[0-9]", "[0-9]", "[0-9]", *["[0-9 -]"] * 8),
    core=rf"[1-9][0-9]{{3}}{_REST}",
    context=_CARD,
    refuse=_ORDER,
    shortest=16,
    valid=is_labelled_card,
)

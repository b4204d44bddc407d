"""WeChat ids, only after a word for WeChat: a letter and 5 to 19 of letters, digits, _ and -."""

from compliance.pii.detector import DIGITS, HAN, LETTERS, Detector, just_after, soon

_NAME = r"(?:[微薇威][ ]?信|v信|[加+➕]v|加薇|卫星号|(?<![a-z])(?:vx|wx|wechat|weixin))"
_KIND = r"[ ]?(?:[/、和或及]?qq)?(?:号码?|id|账号|帐号)?[\"' ]{0,2}"


def has_no_plain_word(value: str) -> bool:
    """Without a colon before it a plain word is more likely prose than an id."""
    return not value.isalpha()


def has_a_digit(value: str) -> bool:
    """In a sentence a word of letters is more likely just that."""
    return any(char.isdigit() for char in value)


BY_LABEL = Detector(
    type="wechat",
    rule="wechat.label",
    why="a WeChat id after a label for it",
    strength=36,
    lead=DIGITS[1:] + LETTERS,
    not_after="0-9a-z_-",
    ahead=just_after("[:(是为号】→>]") + soon(*["[0-9a-z_-]"] * 4),
    core=r"(?:[a-z][0-9a-z_-]{5,19}|[1-9][0-9]{4,10})",
    after="(?![0-9a-z_-])",
    context=rf"{_NAME}{_KIND}(?:[:】→]|->|是|为|号)[(]?[\"' ]{{0,3}}$",
)
BY_MENTION = Detector(
    type="wechat",
    rule="wechat.mention",
    why="a WeChat id right after the word",
    strength=35,
    lead=LETTERS,
    not_after="0-9a-z_-",
    ahead=just_after("[信号码]", "qq", "[vw]x", "chat", "xin", "id", "[加+➕]v", "薇", "[(]")
    + soon(*["[0-9a-z_-]"] * 4),
    core=r"[a-z][0-9a-z_-]{5,19}",
    after="(?![0-9a-z_-])",
    context=rf"{_NAME}{_KIND}[(]?$",
    valid=has_no_plain_word,
)
BY_SENTENCE = Detector(
    type="wechat",
    rule="wechat.sentence",
    why="a word like an id where a sentence about WeChat names one",
    strength=34,
    lead=LETTERS,
    not_after="0-9a-z_-",
    ahead=just_after("[:=是为系成]", "is") + soon(*["[0-9a-z_-]"] * 4),
    core=r"[a-z][0-9a-z_-]{5,19}",
    after="(?![0-9a-z_-])",
    context=(
        rf"(?:{_NAME}|wxid){_KIND}[{HAN}]{{0,6}}[?,]?(?:[我他她你您]的)?(?:[:=]|[是为系]|[改换]成|改为|[ ]is)[ ]?$"
    ),
    valid=has_a_digit,
)
BY_FORM = Detector(
    type="wechat",
    rule="wechat.form",
    why="a WeChat id in the form that WeChat assigns",
    strength=35,
    lead="w",
    not_after="0-9a-z_-",
    ahead=soon("x", "i", "d", "_"),
    core=r"wxid_[0-9a-z]{6,20}",
    after="(?![0-9a-z_-])",
)

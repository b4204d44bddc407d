"""QQ numbers, only right after the word: 5 to 11 digits that do not begin with 0."""

from compliance.pii.detector import DIGITS, Detector, soon

DETECTOR = Detector(
    type="qq",
    rule="qq",
    why="a QQ number after the word for it",
    strength=30,
    lead=DIGITS[1:],
    ahead=soon(*["[0-9]"] * 4),
    core="[1-9][0-9]{4,10}",
    after="(?![0-9])",
    context=(
        r"(?:(?<![a-z])q[ ]?q|扣扣|企鹅号?|加[ ]?q(?=[:是]))[ ]?(?:群号?|号码?|账号|帐号|number(?: is)?)?[\"' ]{0,2}"
        r"(?:[:=(-]|是|为|加|系)?[\"' ]{0,3}$"
    ),
)

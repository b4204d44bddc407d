"""The visible text: its templates, checked once, and where it stands beside a content."""

import string
import unicodedata
from dataclasses import dataclass
from typing import Literal

from compliance.labels.rules import LabelRules
from compliance.verdict import RulesError
from configs.schema import LabelPosition, LabelSettings

Language = Literal["zh", "en"]
PLACEHOLDERS = frozenset({"name", "model"})
GAP = "\n\n"


@dataclass(frozen=True, slots=True)
class Notice:
    """The visible text in both languages. `{name}` and `{model}` in it become the provider's and the model's."""

    zh: str
    en: str
    name: str
    language: Language

    def text(self, model: str) -> str:
        """The text in the deployment's language."""
        return self.texts(model)[self.language]

    def texts(self, model: str) -> dict[str, str]:
        """The text in every language."""
        return {
            "zh": self.zh.format(name=self.name, model=model),
            "en": self.en.format(name=self.name, model=model),
        }


def before_and_after(position: LabelPosition, text: str) -> tuple[str, str]:
    """What stands before and after a content: the text with a blank line, or nothing."""
    return (
        text + GAP if position in ("start", "both") else "",
        GAP + text if position in ("end", "both") else "",
    )


def build_notice(settings: LabelSettings, rules: LabelRules) -> Notice:
    """The notice of a deployment. Raises RulesError naming the setting."""
    for field in ("text_zh", "text_en"):
        check_text(getattr(settings, field), f"labels.{field}", rules)
    if not settings.display_name.isprintable():
        raise RulesError(
            "labels.display_name: holds an invisible character; write a plain name",
            "labels.display_name：含有不可见字符，请填写普通名称",
        )
    return Notice(settings.text_zh, settings.text_en, settings.display_name, settings.language)


def check_text(template: str, field: str, rules: LabelRules) -> None:
    """Raise RulesError unless the template's own words say that the content is made by AI (GB 45438-2025)."""
    rule = rules.explicit_text
    words = _words(template, field)
    if len(template) > rule.max_characters or not template.isprintable() or _hides(template):
        raise RulesError(
            f"{field}: write one visible line of at most {rule.max_characters} characters",
            f"{field}：请写成一行可见文字，最多 {rule.max_characters} 个字符",
        )
    for choices in rule.elements:
        if not any(_stands_in(word, words) for word in choices):
            raise RulesError(
                f"{field}: must hold {' or '.join(choices)} in its own words",
                f"{field}：须含有“{'”或“'.join(choices)}”",
            )
    denied = next((word for word in rule.denials if word.casefold() in words.casefold()), None)
    if denied:
        raise RulesError(f"{field}: {denied!r} denies the label", f"{field}：“{denied}”否定了标识含义")


def _words(template: str, field: str) -> str:
    """The template without its placeholders: what it says whatever the names are."""
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError:
        pieces = [("", "?", "", None)]
    plain = all(name is None or (name in PLACEHOLDERS and not spec and not form) for _, name, spec, form in pieces)
    if not plain:
        raise RulesError(
            f"{field}: only {{name}} and {{model}} may stand in braces",
            f"{field}：花括号内只能写 {{name}} 和 {{model}}",
        )
    return "\0".join(text for text, *_ in pieces)


def _hides(text: str) -> bool:
    return any(unicodedata.category(char) in ("Cf", "Mn", "Me") for char in text)


def _stands_in(word: str, text: str) -> bool:
    """True when the word is there, a Latin one not as a part of a longer word."""
    start = text.find(word)
    while start >= 0:
        around = text[start - 1 : start] + text[start + len(word) : start + len(word) + 1]
        if not (word.isascii() and any(char.isascii() and char.isalnum() for char in around)):
            return True
        start = text.find(word, start + 1)
    return False

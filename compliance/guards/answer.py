"""What a guard model says about a text, whatever protocol it speaks."""

from dataclasses import dataclass
from typing import Any, Literal

from compliance.verdict import ComplianceError

Label = Literal["safe", "controversial", "unsafe"]


@dataclass(frozen=True, slots=True)
class GuardAnswer:
    """A guard's judgement; `categories` are in the guard's own words, empty when it named none."""

    label: Label
    categories: tuple[str, ...] = ()


class GuardAnswerError(ComplianceError):
    """A guard's answer is outside its protocol, so nothing was judged. Never quotes the answer."""


def chat_text(answer: Any) -> str:
    """The text of a chat completion that came to its own end. Raises GuardAnswerError."""
    try:
        (choice,) = answer["choices"]
        text, finish = choice["message"]["content"], choice["finish_reason"]
    except (TypeError, KeyError, ValueError):
        raise GuardAnswerError("answered something that isn't a chat completion with one choice") from None
    if finish != "stop":
        # A list that breaks off could say S1 where S10 was meant.
        raise GuardAnswerError("did not finish its answer (finish_reason isn't stop)")
    if not isinstance(text, str):
        raise GuardAnswerError("answered without text")
    return text


def known(names: list[str], categories: tuple[str, ...]) -> tuple[str, ...]:
    """The named categories, each once. Raises GuardAnswerError for one that the protocol does not have."""
    if not names or any(name not in categories for name in names):
        raise GuardAnswerError("named a category that its protocol does not have")
    return tuple(dict.fromkeys(names))

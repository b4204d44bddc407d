"""OpenAI's moderation protocol: one text in, flags by category out. It knows no conversation and no direction.

Source: OpenAI's API reference and the types of its Python SDK. Older models lack `illicit`, and newer ones may add
categories, so a category that is false need not be known; one that is true must be.
"""

from typing import Any

from compliance.guards.answer import GuardAnswer, GuardAnswerError, known
from compliance.guards.protocol import Body, GuardProtocol
from compliance.guards.turns import Turns
from compliance.verdict import Direction

CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/intent", "self-harm/instructions", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip


def body(model: str, turns: Turns) -> Body:
    """The judged turn alone."""
    return {"model": model, "input": turns[-1].text}


def parse(answer: Any, _direction: Direction) -> GuardAnswer:
    """Read the flags. The scores are not read: where to draw the line is the model's own calibration."""
    try:
        (result,) = answer["results"]
        flagged, flags = result["flagged"], result["categories"]
    except (TypeError, KeyError, ValueError):
        raise GuardAnswerError("answered something that isn't one moderation result") from None
    if not isinstance(flagged, bool) or not isinstance(flags, dict) or not flags:
        raise GuardAnswerError("answered without flags")
    # OpenAI's SDK allows null for a category that a model does not judge.
    if any(flag is not None and not isinstance(flag, bool) for flag in flags.values()):
        raise GuardAnswerError("answered with a flag that is neither true nor false")
    named = [name for name, flag in flags.items() if flag]
    if named and not flagged:
        raise GuardAnswerError("flagged a category and not the text")
    if not flagged:
        return GuardAnswer("safe")
    return GuardAnswer("unsafe", known(named, CATEGORIES) if named else ())


OPENAI_MODERATION = GuardProtocol("openai_moderation", "/v1/moderations", CATEGORIES, body, parse)

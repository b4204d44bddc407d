"""Qwen3Guard-Gen: a chat completion that answers in two lines about a prompt, in three about a response.

Source: the model card and README of Qwen3Guard and the chat template of Qwen3Guard-Gen 0.6B, 4B and 8B, which are
the same. The template judges the last message; `Jailbreak` exists for prompts only.
"""

from typing import Any, Final

from compliance.guards.answer import GuardAnswer, GuardAnswerError, Label, chat_text, known
from compliance.guards.protocol import GuardProtocol, chat_body
from compliance.verdict import Direction

CATEGORIES = (
    "Violent", "Non-violent Illegal Acts", "Sexual Content or Sexual Acts", "PII", "Suicide & Self-Harm",
    "Unethical Acts", "Politically Sensitive Topics", "Copyright Violation", "Jailbreak",
)  # fmt: skip

_LABELS: Final[dict[str, Label]] = {
    "Safety: Safe": "safe",
    "Safety: Controversial": "controversial",
    "Safety: Unsafe": "unsafe",
}
_REFUSALS = ("Refusal: Yes", "Refusal: No")


def parse(answer: Any, direction: Direction) -> GuardAnswer:
    """Read the lines; whether the model refused is not judged here, but the line must be there."""
    lines = [line.strip() for line in chat_text(answer).strip().split("\n")]
    if len(lines) != (2 if direction == "prompt" else 3):
        raise GuardAnswerError("answered with a wrong number of lines")
    label = _LABELS.get(lines[0])
    if label is None or not lines[1].startswith("Categories: "):
        raise GuardAnswerError("answered without a Safety and a Categories line")
    if direction == "output" and lines[2] not in _REFUSALS:
        raise GuardAnswerError("answered without a Refusal line")
    named = lines[1].removeprefix("Categories: ")
    if label == "safe" and named != "None":
        raise GuardAnswerError("called a text safe and named a category")
    # Unsafe without a category stays unsafe: to call it a failure would let it pass where failures are only flagged.
    categories = () if named == "None" else known([name.strip() for name in named.split(",")], CATEGORIES)
    return GuardAnswer(label, categories)


QWEN3GUARD = GuardProtocol("qwen3guard", "/v1/chat/completions", CATEGORIES, chat_body, parse)

"""Llama Guard 3 and 4: a chat completion that answers `safe`, or `unsafe` and a line of category codes.

Source: the model cards of Llama Guard 3 and 4 (MLCommons hazards S1 to S13, and S14 for code interpreters). The chat
template judges the last message and wants user and assistant by turns.
"""

from typing import Any

from compliance.guards.answer import GuardAnswer, GuardAnswerError, chat_text, known
from compliance.guards.protocol import GuardProtocol, chat_body
from compliance.verdict import Direction

CATEGORIES = tuple(f"S{number}" for number in range(1, 15))


def parse(answer: Any, _direction: Direction) -> GuardAnswer:
    """Read the one or two lines, which are the same for prompts and outputs."""
    lines = [line.strip() for line in chat_text(answer).strip().split("\n")]
    if lines == ["safe"]:
        return GuardAnswer("safe")
    if lines == ["unsafe"]:
        return GuardAnswer("unsafe")
    if len(lines) != 2 or lines[0] != "unsafe":
        raise GuardAnswerError("answered neither safe nor unsafe")
    return GuardAnswer("unsafe", known([code.strip() for code in lines[1].split(",")], CATEGORIES))


LLAMA_GUARD = GuardProtocol("llama_guard", "/v1/chat/completions", CATEGORIES, chat_body, parse)

"""What a guard protocol is: where to post, what to ask, how to read the answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from compliance.guards.answer import GuardAnswer
from compliance.guards.turns import Turns
from compliance.verdict import Direction

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class GuardProtocol:
    """One protocol as data and two pure functions.

    `body(model, turns)` builds the request: the last turn is what is judged, a user's in a prompt, the
    assistant's in an output. `parse(answer, direction)` reads the JSON answer and raises GuardAnswerError for
    everything that isn't exactly the protocol.
    """

    name: str
    path: str
    categories: tuple[str, ...]
    body: Callable[[str, Turns], Body]
    parse: Callable[[Any, Direction], GuardAnswer]


def chat_body(model: str, turns: Turns) -> Body:
    """A chat completion request; the guard's own chat template puts its instructions around the turns."""
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    return {"model": model, "messages": messages, "temperature": 0, "max_tokens": 128, "stream": False}

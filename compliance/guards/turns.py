"""A conversation as guard models read it: user and assistant by turns, a user's turn first."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said."""

    role: Role
    text: str


Turns = tuple[Turn, ...]


def prompt_turns(said: Iterable[Turn]) -> Turns:
    """The turns of a prompt, ready to be judged: they alternate, and the first and the last are the user's.

    A caller writes all of a prompt, so text that is put into the assistant's mouth at either end counts as the
    caller's own. Chat templates of guards drop or refuse any other order. There is always one turn.
    """
    turns = [turn for turn in said if turn.text.strip()]
    if not turns:
        return (Turn("user", ""),)
    for end in (0, -1):
        turns[end] = Turn("user", turns[end].text)
    merged = [turns[0]]
    for turn in turns[1:]:
        if turn.role == merged[-1].role:
            merged[-1] = Turn(turn.role, f"{merged[-1].text}\n\n{turn.text}")
        else:
            merged.append(turn)
    return tuple(merged)


def within(turns: Turns, characters: int, fresh: int) -> Turns:
    """The newest turns that fit into so many characters.

    The last `fresh` characters always stay, and so does the newest user's turn, which an answer is judged by.
    """
    last = Turn(turns[-1].role, turns[-1].text[-max(fresh, characters) :])
    kept: Turns = (last,) if last.role == "user" else (turns[-2], last)
    size = sum(len(turn.text) for turn in kept)
    for index in range(len(turns) - len(kept) - 2, -1, -2):
        size += len(turns[index].text) + len(turns[index + 1].text)
        if size > characters:
            break
        kept = (turns[index], turns[index + 1], *kept)
    return kept

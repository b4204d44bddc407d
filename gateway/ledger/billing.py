"""What of a request is billed: the policy of docs/vouchers.md, in one place.

Billed is what the engine says it has read and generated until the answer ended or its abort became known. Nothing is
billed when no answer was begun: refused prompts, set answers, nodes that failed before the first byte.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.record import RequestEntry
from gateway.tokens import TokenEstimate

BROKEN = ("failed", "rejected")


@dataclass(frozen=True, slots=True)
class Billed:
    """Tokens to be paid: `cached` is the part of `prompt` that the engine had in its cache."""

    prompt: int = 0
    cached: int = 0
    output: int = 0

    @property
    def total(self) -> int:
        """Prompt and answer together."""
        return self.prompt + self.output


NOTHING = Billed()


def billed_tokens(
    entry: RequestEntry, estimate: TokenEstimate, context: int, count: Callable[[str], int | None]
) -> Billed:
    """The tokens that a finished request pays; the entry's own counts are completed where the node gave none.

    No count of a node is believed beyond what the request allowed: a prompt is at most `context` tokens for each of
    its choices, an answer at most what was reserved. `count` counts the tokens of a text, if it can.
    """
    if entry.outcome in BROKEN and entry.first_byte_at is None:
        return NOTHING
    if entry.prompt_tokens is None:
        if not entry.unreported:
            return NOTHING
        _count_here(entry, estimate, count)
    prompt = min(entry.prompt_tokens or 0, max(estimate.prompt, context * estimate.prompts))
    output = min(entry.completion_tokens or 0, estimate.output)
    return Billed(prompt, min(entry.cached_tokens or 0, prompt), output)


def _count_here(entry: RequestEntry, estimate: TokenEstimate, count: Callable[[str], int | None]) -> None:
    """The node sent an answer and no usage: its text is counted here, its prompt as far as that count is exact.

    Without a tokenizer each delta counts as one token: it holds at least one.
    """
    entry.prompt_tokens = estimate.prompt if estimate.exact else 0
    counts = [count(text) for text in _whole_texts(entry.unreported)]
    known = [one for one in counts if one is not None]
    entry.completion_tokens = sum(known) if len(known) == len(counts) else len(entry.unreported)
    note = "tokens counted by the gateway: the node reported none"
    entry.note = f"{entry.note}; {note}" if entry.note else note


def _whole_texts(pieces: list[tuple[str, str]]) -> list[str]:
    """The pieces of each field joined, so that no token is counted in two halves."""
    fields: dict[str, list[str]] = {}
    for field, text in pieces:
        fields.setdefault(field, []).append(text)
    return ["".join(texts) for texts in fields.values()]

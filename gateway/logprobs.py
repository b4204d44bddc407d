"""Log-probabilities follow the text: held while it is held, gone where it is masked or blocked.

So do the alternatives to a token: one that would complete what the policy masks or blocks is left out.
"""

from collections import deque
from typing import Any

from compliance.pipeline import Pipeline
from compliance.verdict import Action

CONTEXT = 128
"""So much text before a token is looked at with each alternative to it."""


class LogprobHold:
    """Pairs each token's entry with its characters and lets out only entries of released, unmasked text.

    Tokens and text may arrive in different events. When they stop agreeing (markup that a parser took out,
    say) it fails closed: no further entry leaves.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._before = ""
        self._waiting: deque[tuple[str, Any]] = deque()
        self._aligned: deque[tuple[int, int, Any]] = deque()
        self._text = ""
        self._text_start = 0
        self._decided = 0
        self._masked: list[tuple[int, int]] = []
        self._broken = False

    def decide(self, end: int, masked: tuple[tuple[int, int], ...]) -> None:
        """Take over from a gate that the text is decided up to raw offset `end`, with these spans masked in it."""
        self._decided = max(self._decided, end)
        self._masked.extend(masked)

    def feed(self, text: str, tokens: list[tuple[str, Any]], *, final: bool) -> list[Any]:
        """Add an event's raw text and its (token string, entry) pairs; return the entries that may go out.

        Call it after `decide` for the same event. `final`: the choice ends with this event.
        """
        if not self._broken:
            self._text += text
            self._waiting.extend(tokens)
            self._align()
        return self._released(final)

    def _align(self) -> None:
        while self._waiting:
            token, entry = self._waiting[0]
            if not self._text.startswith(token):
                if not token.startswith(self._text):
                    self._broken = True
                    self._waiting.clear()
                return  # else the rest of the token's text has not come yet
            self._waiting.popleft()
            entry = self._with_harmless_alternatives(token, entry)
            self._before = (self._before + token)[-CONTEXT:]
            start, end = self._text_start, self._text_start + len(token)
            # A token without text is a piece of the next character, so it shares that character's fate.
            self._aligned.append((start, end if token else start + 1, entry))
            self._text, self._text_start = self._text[len(token) :], end

    def _with_harmless_alternatives(self, token: str, entry: Any) -> Any:
        """The entry with only those alternatives that may be seen: a chat entry, or a row of a completion's table."""
        if isinstance(entry, dict):
            if not entry.get("top_logprobs"):
                return entry
            kept = [one for one in entry["top_logprobs"] if self._harmless(one["token"], token)]
            return entry | {"top_logprobs": kept}
        if isinstance(entry, tuple) and isinstance(entry[TOP], dict):
            seen = {one: value for one, value in entry[TOP].items() if self._harmless(one, token)}
            return (*entry[:TOP], seen, *entry[TOP + 1 :])
        return entry

    def _harmless(self, alternative: str, token: str) -> bool:
        """Whether no finding that is masked or blocked ends in the alternative. The token itself is judged as text."""
        if alternative == token or not self._pipeline.enforce:
            return True
        at = len(self._before)
        found = self._pipeline.scan(self._before + alternative, "output").findings
        return not any(one.end > at and one.action.rank > Action.flag.rank for one in found)

    def _released(self, final: bool) -> list[Any]:
        out = []
        while self._aligned:
            start, end, entry = self._aligned[0]
            trailing = final and start == self._decided  # the stop token, which has no text
            if end > self._decided and not trailing:
                break
            self._aligned.popleft()
            if not any(start < mask_end and mask_start < end for mask_start, mask_end in self._masked):
                out.append(entry)
        settled = self._aligned[0][0] if self._aligned else self._decided
        self._masked = [span for span in self._masked if span[1] > settled]
        return out


TOP = 2
"""Where in a row of a completion's table the alternatives are: token, its log-probability, alternatives, offset."""

"""How many tokens a request may use: its prompt's, and at most how many of an answer."""

from dataclasses import dataclass

from gateway.request import CheckedRequest
from models.catalog import ServedModel


@dataclass(frozen=True, slots=True)
class TokenEstimate:
    """What is reserved for a request. `prompt` is counted, `output` is the most that its choices may add up to."""

    prompt: int
    output: int

    @property
    def total(self) -> int:
        """Both together."""
        return self.prompt + self.output


NOTHING = TokenEstimate(0, 0)


class TokenCounter:
    """Counts a request's tokens before it is served."""

    async def estimate(self, request: CheckedRequest, model: ServedModel) -> TokenEstimate:
        """The prompt's tokens, and the most that all choices of the answer may have."""
        return TokenEstimate(0, model.base.context_tokens)

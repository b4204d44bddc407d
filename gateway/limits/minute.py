"""A subject's present minute in this worker: what it may still use of it without asking the database."""

from dataclasses import dataclass


@dataclass(slots=True)
class Minute:
    """`requests` and `tokens` are this worker's to use; the others' part is what was left for everyone besides."""

    minute: int
    requests: int = 0
    tokens: int = 0
    shared_requests: int | None = None
    shared_tokens: int | None = None
    used_at: float = 0.0

    def has(self, requests: int, tokens: int) -> bool:
        """Whether so much can be used without asking."""
        return self.requests >= requests and self.tokens >= tokens

    def use(self, requests: int, tokens: int) -> None:
        """Use so much."""
        self.requests -= requests
        self.tokens -= tokens

    def left(self) -> tuple[int | None, int | None]:
        """Requests and tokens left in this minute, as far as this worker knows; None where there is no limit."""
        return (
            None if self.shared_requests is None else self.requests + self.shared_requests,
            None if self.shared_tokens is None else self.tokens + self.shared_tokens,
        )

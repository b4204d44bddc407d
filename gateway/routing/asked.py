"""One request as routing sees it: what it would like, what it may use, where it has been."""

from collections.abc import Sequence
from typing import Any

from configs.sections.routing import RoutingSettings
from gateway.errors import GatewayError
from gateway.request import CheckedRequest
from gateway.routing.choice import Wanted
from gateway.routing.node import Node
from gateway.routing.prefixes import Prefixes, home, rendered
from gateway.routing.usage import UsageCheck
from gateway.tenants.keys import Caller
from models.catalog import ServedModel

BYTES_PER_TOKEN = 4
UNSAID_OUTPUT_TOKENS = 512
MOST_OUTPUT_TOKENS = 4096


class Asked:
    """A request on its way to a node. `failure` is what the last node that was tried answered.

    `tokens` is a guess for weighing requests against each other, no bill: bytes of the body, and what may be written.
    """

    __slots__ = (
        "_keys", "_prefixes", "_prompt", "_settings", "answers", "body", "caller", "check", "failure", "model",
        "request", "tokens", "tried",
    )  # fmt: skip

    def __init__(
        self,
        request: CheckedRequest,
        model: ServedModel,
        caller: Caller,
        settings: RoutingSettings,
        prefixes: Prefixes,
        check: UsageCheck,
        answers: int,
    ) -> None:
        """`check` looks at what the answer says of its tokens; `answers` are all choices of all prompts."""
        self.answers = answers
        self.request = request
        self.model = model
        self.caller = caller
        self.body = request.upstream_body(model.served_name)
        self.check = check
        self.tried: set[str] = set()
        self.failure: GatewayError | None = None
        self._settings = settings
        self._prefixes = prefixes
        self._prompt: str | None = None
        self._keys: list[int] = []
        asked = request.body
        most = asked.get("max_completion_tokens") or asked.get("max_tokens") or UNSAID_OUTPUT_TOKENS
        self.tokens = len(self.body) // BYTES_PER_TOKEN + min(most, MOST_OUTPUT_TOKENS)

    def wanted(self, holders: Sequence[Node]) -> Wanted:
        """What it would like of these nodes; with one node to choose from there is nothing to like."""
        region = self.caller.region or self._settings.region
        if len(holders) == 1:
            return Wanted(region)
        if self._prompt is None:
            self._prompt = rendered(self.request.body)
            self._keys = self._prefixes.keys(self.model.served_name, self._prompt)
        node = self._prefixes.node(self._keys)
        if node is None or all(one.name != node for one in holders):
            node = home(self._prompt, [one.name for one in holders if not region or one.region == region])
        return Wanted(region, node, self.model.served_name if self.model.adapter else None)

    def went_to(self, node: Node) -> None:
        """The node has this prompt in its cache from now on."""
        if self._keys:
            self._prefixes.remember(self._keys, node.name)


def prompts_asked(body: dict[str, Any]) -> int:
    """How many prompts a request brings; each may be as long as the model's context."""
    inputs = body.get("prompt") or body.get("input")
    return len(inputs) if isinstance(inputs, list) else 1

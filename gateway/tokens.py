"""How many tokens a request may use: its prompt's, and at most how many of an answer."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.errors import ContextTooLong
from gateway.prompt_tokens import PromptTokens, load_prompt_tokens
from gateway.request import CheckedRequest
from models.catalog import ServedModel

log = logging.getLogger("opcgate.tokens")
LONG_BODY = 20_000
"""Prompts of so many bytes are counted in a thread, so that other requests don't wait for them."""
COMPLETION_TOKENS = 16
"""What vLLM generates for /v1/completions without max_tokens, as OpenAI did."""
MESSAGE_OVERHEAD = 64
TOOLS_OVERHEAD = 512
"""Tokens that chat templates add around messages and tools, generously: a bound, where no tokenizer is at hand."""


@dataclass(frozen=True, slots=True)
class TokenEstimate:
    """What is reserved for a request. `output` is the most that its choices may add up to.

    `prompt` is the engine's own count when `exact`, else an upper bound. It is the sum of all `prompts`.
    """

    prompt: int
    output: int
    exact: bool = False
    prompts: int = 1

    @property
    def total(self) -> int:
        """Both together."""
        return self.prompt + self.output


NOTHING = TokenEstimate(0, 0)


class TokenCounter:
    """Counts a request's tokens before it is served; one tokenizer for each base model whose files are here."""

    def __init__(self, load: Callable[[ServedModel], PromptTokens | None] = load_prompt_tokens) -> None:
        self._load = load
        self._known: dict[str, PromptTokens | None] = {}

    async def estimate(self, request: CheckedRequest, model: ServedModel) -> TokenEstimate:
        """The prompt's tokens, and the most that all choices of the answer may have.

        Raises ContextTooLong where the engine would, if the count is exact.
        """
        body, counter = request.body, await self._of(model)
        # A surface whose events are decoded is rendered by the engine alone: its prompt is bounded, not counted.
        if counter is None or request.surface.decode is not None:
            counts, exact = _bounds(body), False
        elif _size(body) > LONG_BODY:
            counts, exact = await asyncio.to_thread(counter.count, body)
        else:
            counts, exact = counter.count(body)
        context = model.base.context_tokens
        if exact and max(counts) > context:
            raise ContextTooLong(
                f"This model's maximum context length is {context} tokens, and the prompt has {max(counts)}; "
                f"shorten it. 提示词共 {max(counts)} 个 token，超过模型上下文长度 {context}。"
            )
        if not exact:
            counts = [min(one, context) for one in counts]
        output = sum(_answer(request, context, one if exact else 0) for one in counts)
        return TokenEstimate(sum(counts), output, exact, _prompts(body))

    def count_text(self, text: str, model: ServedModel) -> int | None:
        """Tokens of a generated text, None when no tokenizer is at hand."""
        counter = self._known.get(model.base.id)
        return counter.count_text(text) if counter else None

    async def warm_up(self, models: list[ServedModel]) -> None:
        """Load the tokenizers before the first request asks for them."""
        for model in models:
            await self._of(model)

    async def _of(self, model: ServedModel) -> PromptTokens | None:
        base = model.base.id
        if base not in self._known:
            loaded = await asyncio.to_thread(self._load, model)
            self._known[base] = loaded
            if loaded is None:
                log.info("model %s: no tokenizer here, its prompts are bounded by their size", base)
        return self._known[base]


def _answer(request: CheckedRequest, context: int, prompt: int) -> int:
    """The most tokens that the answers to one prompt may have."""
    if request.surface.kind != "generate":
        return 0
    body = request.body
    asked = body.get("max_completion_tokens") or body.get("max_tokens") or body.get("max_output_tokens")
    if asked is None and "prompt" in body:
        asked = COMPLETION_TOKENS
    left = max(context - prompt, 0)
    most = left if asked is None else min(asked, left)
    return most * max(body.get("n") or 1, body.get("best_of") or 1)


def _prompts(body: dict[str, Any]) -> int:
    several = None if "messages" in body else body.get("prompt") or body.get("input")
    return len(several) if isinstance(several, list) else 1


def _size(body: dict[str, Any]) -> int:
    """About how many characters the prompt has, without reading it all."""
    content = body.get("messages") or body.get("prompt") or body.get("input") or ""
    if isinstance(content, str):
        return len(content)
    sizes = (one.get("content") if isinstance(one, dict) else one for one in content)
    return sum(len(one) if isinstance(one, str) else LONG_BODY for one in sizes if one) + (
        len(orjson.dumps(body["tools"])) if body.get("tools") else 0
    )


def _bounds(body: dict[str, Any]) -> list[int]:
    """The most tokens that each prompt of a request can have. No byte-level tokenizer makes more tokens than bytes;
    JSON around the texts outweighs the template's marks."""
    several = None if "messages" in body else body.get("prompt") or body.get("input")
    if isinstance(several, list) and several and all(isinstance(one, str) for one in several):
        around = len(orjson.dumps(body.get("suffix"))) + MESSAGE_OVERHEAD
        return [len(orjson.dumps(one)) + around for one in several]
    names = ("messages", "tools", "prompt", "suffix", "input", "instructions", "system", "response_format")
    texts = {name: body[name] for name in (*names, "chat_template_kwargs") if body.get(name)}
    return [len(orjson.dumps(texts)) + MESSAGE_OVERHEAD + (TOOLS_OVERHEAD if body.get("tools") else 0)]

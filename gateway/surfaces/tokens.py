"""`/tokenize`, `/detokenize` and the count of a message's tokens: vLLM's, for who wants to know what a prompt costs.

What is tokenized never reaches a model, and the answer tells nobody but its sender, so it is not scanned: the count is
that of the text as sent. It costs nothing and is recorded. Token ids can spell anything, so what they spell is scanned
like an answer.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StrictBool, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from compliance.verdict import ScannerError
from gateway.errors import NodeFailed, PromptRefused, ScanFailed
from gateway.surfaces.chat import Message
from gateway.surfaces.parts import Unscanned, check_parts
from gateway.surfaces.shape import Ask, Json, Place
from gateway.surfaces.surface import Prepared

if TYPE_CHECKING:
    from compliance.pipeline import Pipeline
    from gateway.record import RequestEntry
    from gateway.request import CheckedRequest

TOKENIZE, TOKENIZE_PATH = "tokenize", "/tokenize"
DETOKENIZE, DETOKENIZE_PATH = "detokenize", "/detokenize"
MOST_TOKENS = 1_000_000
HIGHEST_ID = 2**31 - 1
NOT_SCANNED = ("a text that only the tokenizer reads",)


class TokenizeRequest(Ask):
    """A text, or a conversation, to be cut into tokens. As in vLLM, exactly one of them."""

    prompt: StrictStr | None = None
    messages: list[Message] | None = Field(None, min_length=1)
    tools: list[Json] | None = None
    add_special_tokens: StrictBool | None = None
    add_generation_prompt: StrictBool | None = None
    continue_final_message: StrictBool | None = None
    chat_template_kwargs: Json | None = None
    return_token_strs: StrictBool | None = None

    @model_validator(mode="after")
    def _has_one_text(self) -> "TokenizeRequest":
        if (self.prompt is None) == (self.messages is None):
            raise PydanticCustomError("one_text", "give either 'prompt' or 'messages'")
        return self


class DetokenizeRequest(Ask):
    """Token ids to be put together to a text."""

    tokens: list[Annotated[StrictInt, Field(ge=0, le=HIGHEST_ID)]] = Field(max_length=MOST_TOKENS)


def nothing_scanned(_body: Json) -> Iterator[Place]:
    """No text of the request reaches a model."""
    return iter(())


def prepared_text(body: Json, parts: Unscanned) -> Prepared:
    """A text for the tokenizer; of a conversation only what chat takes too. Raises InvalidRequest."""
    if body.get("messages"):
        check_parts(body, parts)
    return Prepared(body, NOT_SCANNED)


def tokenized(event: Json, _request: "CheckedRequest", _pipeline: "Pipeline", _entry: "RequestEntry") -> Json:
    """The ids, how many, and the strings where asked for. Raises NodeFailed."""
    try:
        out: Json = {
            "count": int(event["count"]),
            "max_model_len": int(event["max_model_len"]),
            "tokens": [int(one) for one in event["tokens"]],
            "token_strs": None if event.get("token_strs") is None else [str(one) for one in event["token_strs"]],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise _outside_the_protocol() from error
    return out


def detokenized(event: Json, _request: "CheckedRequest", pipeline: "Pipeline", entry: "RequestEntry") -> Json:
    """What the ids spell, scanned like an answer. Raises PromptRefused, ScanFailed, NodeFailed."""
    text: Any = event.get("prompt")
    if not isinstance(text, str):
        raise _outside_the_protocol()
    gate = pipeline.gate("output")
    try:
        releases = [gate.feed(text)]
        if not releases[0].blocked:
            releases.append(gate.flush())
    except ScannerError as error:
        raise ScanFailed(
            f"The text could not be checked ({error}); nothing unchecked was sent. 内容检查失败，未返回文本。"
        ) from error
    entry.released["prompt"] = {
        "decided_to": releases[-1].end,
        "covered": [list(span) for one in releases for span in one.masked],
    }
    for one in releases:
        entry.add_findings("prompt", one.findings)
        if one.blocked:
            stopping = one.findings[-1]
            entry.released["prompt"]["cut"] = True
            raise PromptRefused(
                f"The tokens spell what the content policy refuses: {stopping.risk} ({stopping.type}). "
                "这些 token 的文本违反内容安全策略。",
                param="tokens",
            )
    return {"prompt": "".join(one.text for one in releases)}


def counted(event: Json, _request: "CheckedRequest", _pipeline: "Pipeline", _entry: "RequestEntry") -> Json:
    """How many tokens a message would have. Raises NodeFailed."""
    if not isinstance(event.get("input_tokens"), int):
        raise _outside_the_protocol()
    return {"input_tokens": event["input_tokens"]}


def _outside_the_protocol() -> NodeFailed:
    return NodeFailed("The model's node answered outside the protocol; try again.")

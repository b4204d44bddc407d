"""`/v1/embeddings`: texts in, vectors out; the texts are scanned as prompts, the answer is built anew."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, StrictInt, StrictStr, field_validator
from pydantic_core import PydanticCustomError

from compliance.guards.turns import Turn, Turns, prompt_turns
from gateway.errors import NodeFailed
from gateway.surfaces.shape import Ask, Json, Place, field_strings

if TYPE_CHECKING:
    from compliance.pipeline import Pipeline
    from gateway.record import RequestEntry
    from gateway.request import CheckedRequest

ENDPOINT = "embeddings"
PATH = "/v1/embeddings"
MOST_INPUTS = 2048
"""As many as OpenAI takes at once."""

_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


class EmbeddingsRequest(Ask):
    """The body of a request for embeddings: OpenAI's fields."""

    input: StrictStr | list[StrictStr] = Field(min_length=1)
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: StrictInt | None = Field(None, ge=1)
    user: StrictStr | None = None

    @field_validator("input", mode="before")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        if isinstance(value, list) and any(not isinstance(one, str) for one in value):
            raise PydanticCustomError(
                "token_ids",
                "token ids can't be scanned; send text (in LangChain: check_embedding_ctx_length=False)",
            )
        if isinstance(value, list) and len(value) > MOST_INPUTS:
            raise PydanticCustomError("too_many", "at most 2048 texts at once; send several requests")
        return value


def prompt_places(body: Json) -> Iterator[Place]:
    """Every text."""
    yield from field_strings(body, ("input",))


def conversations(body: Json) -> list[tuple[str, Turns]]:
    """Each text as a conversation of one turn, as guards read it."""
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    return [(f"input.{index}", prompt_turns([Turn("user", text)])) for index, text in enumerate(texts)]


def rebuilt(event: Json, request: "CheckedRequest", _pipeline: "Pipeline", entry: "RequestEntry") -> Json:
    """The vectors and the count, nothing else of what the node said. Raises NodeFailed."""
    wanted = 1 if isinstance(request.body["input"], str) else len(request.body["input"])
    try:
        vectors = [_vector(one["embedding"]) for one in sorted(event["data"], key=lambda one: int(one["index"]))]
        tokens = int(event["usage"]["prompt_tokens"])
    except (KeyError, TypeError, ValueError) as error:
        raise NodeFailed("The model's node answered outside the protocol; try again.") from error
    if len(vectors) != wanted:
        raise NodeFailed("The model's node answered another number of vectors than asked for; try again.")
    entry.prompt_tokens, entry.completion_tokens = tokens, 0
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": request.model, "usage": usage}


def _vector(value: Any) -> Any:
    """A list of numbers, or one in base64: nothing that could carry text."""
    if isinstance(value, str) and _BASE64.fullmatch(value):
        return value
    if isinstance(value, list) and all(type(one) in (float, int) for one in value):
        return value
    raise ValueError("not a vector")

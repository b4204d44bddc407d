"""`/v1/completions`: its request model and the places of text in a prompt."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field, StrictBool, StrictInt, StrictStr, field_validator
from pydantic_core import PydanticCustomError

from compliance.guards.turns import Turn, Turns, prompt_turns
from gateway.surfaces.shape import Generation, Json, Place, field_strings

ENDPOINT = "completions"
PATH = "/v1/completions"
TEXT_FIELDS = ("text",)
MOST_PROMPTS = 128
"""Prompts at once: a node works on all of them, and the queue before it counts requests."""


class CompletionRequest(Generation):
    """The body of a text completion. Prompts as token ids are refused: the pipeline reads text."""

    prompt: StrictStr | list[StrictStr] = Field(min_length=1)
    suffix: StrictStr | None = None
    echo: StrictBool | None = None
    logprobs: StrictInt | None = Field(None, ge=0)
    best_of: StrictInt | None = Field(None, ge=1)

    @field_validator("prompt", mode="before")
    @classmethod
    def _not_too_many(cls, value: Any) -> Any:
        if isinstance(value, list) and len(value) > MOST_PROMPTS:
            raise PydanticCustomError("too_many", "at most 128 prompts at once; send several requests")
        return value


def prompt_places(body: Json) -> Iterator[Place]:
    """Every string of a completion request that can reach the model."""
    yield from field_strings(body, ("prompt", "suffix", "response_format", "structured_outputs", "stop", "bad_words"))


def joined_places(_body: Json) -> list[list[Place]]:
    """Prompts of one request have nothing to do with each other."""
    return []


def conversations(body: Json) -> list[tuple[str, Turns]]:
    """Each prompt as a conversation of one turn, as guards read it."""
    prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
    suffix = body.get("suffix") or ""
    return [(f"prompt.{index}", prompt_turns([Turn("user", text + suffix)])) for index, text in enumerate(prompts)]

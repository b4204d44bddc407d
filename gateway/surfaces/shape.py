"""What every generating endpoint has in common: strict request models and places that hold text."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

Json = dict[str, Any]
Kind = Literal["text", "json", "name", "number"]


class Shape(BaseModel):
    """Base of request models. A field nobody scans must not reach the engine, so unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StreamOptions(Shape):
    """OpenAI's stream options and vLLM's continuous usage."""

    include_usage: StrictBool | None = None
    continuous_usage_stats: StrictBool | None = None
    include_obfuscation: StrictBool | None = None


class Ask(Shape):
    """What every endpoint behind which an engine stands is asked with."""

    model: StrictStr


class Generation(Ask):
    """Request fields that chat and text completions share. Ranges are the engine's to judge."""

    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    n: StrictInt | None = Field(None, ge=1)
    max_tokens: StrictInt | None = Field(None, ge=1)
    min_tokens: StrictInt | None = Field(None, ge=0)
    temperature: float | None = None
    top_p: float | None = None
    top_k: StrictInt | None = None
    min_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    seed: StrictInt | None = None
    stop: StrictStr | list[StrictStr] | None = None
    stop_token_ids: list[StrictInt] | None = None
    include_stop_str_in_output: StrictBool | None = None
    ignore_eos: StrictBool | None = None
    skip_special_tokens: StrictBool | None = None
    bad_words: list[StrictStr] | None = None
    response_format: Json | None = None
    structured_outputs: Json | None = None
    user: StrictStr | None = None


# Fields of OpenAI's API that mean nothing to an engine: taken, so that SDK defaults work, and not passed on.
NOT_FORWARDED = (
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "verbosity",
)


MOST_DEPTH = 100
"""How deep lists and objects of a body may lie in one another. orjson writes 254."""


def is_too_deep(value: Any, most: int = MOST_DEPTH) -> bool:
    """Whether a JSON value has more levels than that. It isn't called again for each level, so no stack ends here."""
    level = [value]
    for _ in range(most + 1):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
            elif isinstance(one, list):
                below += one
        level = [one for one in below if isinstance(one, dict | list)]
        if not level:
            return False
    return True


SHORTEST_NUMBER = 5
"""Numbers of so many digits can say something about a person (a QQ number has five)."""


@dataclass(frozen=True, slots=True)
class Place:
    """One string in a request body: where it is, and how to put another in its place.

    Kind `json` is text that is read as JSON, so escapes are looked through; a `name` is a key of an object.
    """

    param: str
    container: Any
    key: Any
    kind: Kind = "text"

    @property
    def text(self) -> str:
        """The string itself; for kind `name` the key is the string."""
        return str(self.key) if self.kind == "name" else str(self.container[self.key])

    @property
    def surface(self) -> Literal["text", "json"]:
        """How scanners are to read it."""
        return "json" if self.kind == "json" else "text"

    def replace(self, text: str) -> None:
        """Put `text` in the string's place."""
        self.container[self.key] = text


def strings_below(value: Any, param: str) -> Iterator[Place]:
    """Every string in a JSON value, with keys of objects and long numbers (a schema's names and examples are read)."""
    if isinstance(value, dict):
        for key in list(value):
            # A path goes into records and answers, so a name that is still to be judged is no part of its own.
            yield Place(param, value, key, "name")
            yield from _child(value, key, f"{param}.{key}" if len(key) < 40 else param)
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from _child(value, index, f"{param}.{index}")


def _child(container: Any, key: Any, param: str) -> Iterator[Place]:
    value = container[key]
    if isinstance(value, str):
        yield Place(param, container, key)
    elif isinstance(value, int | float) and len(str(value)) >= SHORTEST_NUMBER:
        if not isinstance(value, bool):
            yield Place(param, container, key, "number")
    else:
        yield from strings_below(value, param)


def field_strings(body: Json, names: tuple[str, ...]) -> Iterator[Place]:
    """Every string in the named top-level fields of a body."""
    for name in names:
        if name in body:
            yield from _child(body, name, name)

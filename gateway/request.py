"""From bytes to a checked request: JSON, field types, limits; errors name the field and the mend."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from compliance.guards.turns import Turns
from gateway.errors import InvalidRequest
from gateway.surfaces import chat, completions
from gateway.surfaces.moderations import InputPart
from gateway.surfaces.parts import Unscanned, check_parts
from gateway.surfaces.shape import NOT_FORWARDED, Generation, Json, Place

Checked = TypeVar("Checked", bound=BaseModel)
Places = Callable[[Json], Iterator[Place]]
Conversations = Callable[[Json], list[tuple[str, Turns]]]


@dataclass(frozen=True, slots=True)
class Surface:
    """One generating endpoint: its path, its request model and where its prompts hold text."""

    endpoint: str
    path: str
    model: type[Generation]
    prompt_places: Places
    joined_places: Callable[[Json], list[list[Place]]]
    text_fields: tuple[str, ...]
    conversations: Conversations


CHAT = Surface(
    chat.ENDPOINT, chat.PATH, chat.ChatRequest, chat.prompt_places, chat.joined_places,
    chat.TEXT_FIELDS, chat.conversations,
)  # fmt: skip
COMPLETIONS = Surface(
    completions.ENDPOINT, completions.PATH, completions.CompletionRequest, completions.prompt_places,
    completions.joined_places, completions.TEXT_FIELDS, completions.conversations,
)  # fmt: skip
SURFACES = (CHAT, COMPLETIONS)


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that is well formed. `body` is what goes to the engine; its strings may still be masked."""

    surface: Surface
    body: Json
    model: str
    stream: bool
    include_usage: bool
    continuous_usage: bool
    unscanned_parts: tuple[str, ...] = ()

    def places(self) -> Iterator[Place]:
        """Every string of the prompt."""
        return self.surface.prompt_places(self.body)

    def joined(self) -> list[list[Place]]:
        """Those of them that are read in one go, so that something may be hidden where they join."""
        return self.surface.joined_places(self.body)

    def conversations(self) -> list[tuple[str, Turns]]:
        """The prompt as guards read it: each conversation under the path of its newest turn."""
        return self.surface.conversations(self.body)

    def upstream_body(self, served_name: str) -> bytes:
        """The body for the engine: its own name for the model, and always with usage."""
        body = {key: value for key, value in self.body.items() if key not in NOT_FORWARDED and value is not None}
        body["model"] = served_name
        body.pop("stream_options", None)
        if self.stream:
            body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
        return orjson.dumps(body)


def parse_request(surface: Surface, payload: bytes, *, max_choices: int, parts: Unscanned = "refuse") -> CheckedRequest:
    """Check a request body. Raises InvalidRequest naming the field and the mend.

    `parts` says what becomes of a message's images, sounds and files.
    """
    checked, body = checked_body(surface.model, payload)
    if checked.n is not None and checked.n > max_choices:
        raise InvalidRequest(f"n is at most {max_choices}; ask for fewer choices. n 最大为 {max_choices}。", param="n")
    unscanned = check_parts(body, parts) if surface is CHAT else []
    options = checked.stream_options
    return CheckedRequest(
        surface=surface,
        body=body,
        model=checked.model,
        stream=bool(checked.stream),
        include_usage=bool(options and options.include_usage),
        continuous_usage=bool(options and options.include_usage and options.continuous_usage_stats),
        unscanned_parts=tuple(unscanned),
    )


def checked_body(shape: type[Checked], payload: bytes) -> tuple[Checked, Json]:
    """A body as its shape and as it came. Raises InvalidRequest naming the field and the mend."""
    body = _json_object(payload)
    try:
        return shape.model_validate(body), body
    except ValidationError as error:
        raise _field_error(error) from None


def _json_object(payload: bytes) -> Json:
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(_why_not_json(payload, error)) from None
    if not isinstance(body, dict):
        raise InvalidRequest('The body must be a JSON object, like {"model": …}. 请求体必须是 JSON 对象。')
    return body


def _why_not_json(payload: bytes, error: orjson.JSONDecodeError) -> str:
    if not payload.strip():
        return "The body is empty; send a JSON object. 请求体为空。"
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError as bad:
        return f"The body isn't valid UTF-8 (byte {bad.start}); encode it as UTF-8. 请求体不是合法的 UTF-8。"
    if "surrogate" in str(error):
        return (
            f"The body holds a lone surrogate escape (position {error.pos}); send whole characters. "
            "请求体含有不成对的代理项。"
        )
    return f"The body isn't valid JSON (line {error.lineno}, column {error.colno}). 请求体不是合法的 JSON。"


def _field_error(error: ValidationError) -> InvalidRequest:
    """The most deeply nested wrong field, by its path without pydantic's branch names. Values aren't repeated."""
    errors: list[Any] = error.errors(include_input=False, include_url=False)
    deepest = max(errors, key=lambda one: len(one["loc"]))
    path = ".".join(str(part) for part in deepest["loc"] if not _is_branch(part))
    if deepest["type"] == "extra_forbidden":
        return InvalidRequest(f"Unknown field '{path}'; leave it out. 不支持的字段。", param=path)
    if deepest["type"] == "missing":
        return InvalidRequest(f"Field '{path}' is required. 缺少字段。", param=path)
    return InvalidRequest(f"Field '{path}': {deepest['msg']}. 字段无效。", param=path)


BRANCHES = ("str", "int", "float", "bool", "dict", InputPart.__name__)


def _is_branch(part: Any) -> bool:
    """True for what pydantic adds to a path to say which member of a union it tried."""
    return isinstance(part, str) and ("[" in part or part in BRANCHES)

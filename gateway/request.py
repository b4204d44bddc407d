"""From bytes to a checked request: JSON, field types, limits; errors name the field and the mend."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from compliance.guards.turns import Turns
from gateway.errors import InvalidRequest
from gateway.surfaces import chat, completions, embeddings, tokens
from gateway.surfaces.anthropic import places as message_places
from gateway.surfaces.anthropic import shape as messages
from gateway.surfaces.anthropic.decode import decoded
from gateway.surfaces.anthropic.wire import AnthropicErrors, AnthropicWire
from gateway.surfaces.moderations import InputPart
from gateway.surfaces.parts import Unscanned, check_parts
from gateway.surfaces.responses import shape as responses
from gateway.surfaces.responses.translate import prepared as prepared_response
from gateway.surfaces.responses.wire import ResponsesWire
from gateway.surfaces.shape import MOST_DEPTH, NOT_FORWARDED, Json, Place, is_too_deep
from gateway.surfaces.surface import Prepared, Surface

Checked = TypeVar("Checked", bound=BaseModel)


def _chat_body(body: Json, parts: Unscanned) -> Prepared:
    return Prepared(body, tuple(check_parts(body, parts)))


def _uncounted_message(body: Json, parts: Unscanned) -> Prepared:
    return replace(messages.prepared(body, parts), unscanned=tokens.NOT_SCANNED)


CHAT = Surface(
    chat.ENDPOINT, chat.PATH, chat.ChatRequest, chat.prompt_places, chat.joined_places,
    chat.TEXT_FIELDS, chat.conversations, prepare=_chat_body,
)  # fmt: skip
COMPLETIONS = Surface(
    completions.ENDPOINT, completions.PATH, completions.CompletionRequest, completions.prompt_places,
    completions.joined_places, completions.TEXT_FIELDS, completions.conversations,
)  # fmt: skip
RESPONSES = Surface(
    responses.ENDPOINT, responses.PATH, responses.ResponsesRequest, chat.prompt_places, chat.joined_places,
    chat.TEXT_FIELDS, chat.conversations, engine_path=chat.PATH, always_usage=True, prepare=prepared_response,
    wire=ResponsesWire,
)  # fmt: skip
MESSAGES = Surface(
    messages.ENDPOINT, messages.PATH, messages.MessagesRequest, message_places.prompt_places,
    message_places.joined_places, chat.TEXT_FIELDS, message_places.conversations, stream_options=False,
    always_usage=True, prepare=messages.prepared, decode=decoded, wire=AnthropicWire,
)  # fmt: skip
COUNT_TOKENS = Surface(
    messages.COUNT_ENDPOINT, messages.COUNT_PATH, messages.CountTokensRequest, tokens.nothing_scanned,
    kind="tokens", billed=False, prepare=_uncounted_message, rebuild=tokens.counted, wire=AnthropicErrors,
)  # fmt: skip
EMBEDDINGS = Surface(
    embeddings.ENDPOINT, embeddings.PATH, embeddings.EmbeddingsRequest, embeddings.prompt_places,
    conversations=embeddings.conversations, kind="embed", rebuild=embeddings.rebuilt,
)  # fmt: skip
TOKENIZE = Surface(
    tokens.TOKENIZE, tokens.TOKENIZE_PATH, tokens.TokenizeRequest, tokens.nothing_scanned, kind="tokens",
    billed=False, aliases=("/v1/tokenize",), prepare=tokens.prepared_text, rebuild=tokens.tokenized,
)  # fmt: skip
DETOKENIZE = Surface(
    tokens.DETOKENIZE, tokens.DETOKENIZE_PATH, tokens.DetokenizeRequest, tokens.nothing_scanned, kind="tokens",
    billed=False, aliases=("/v1/detokenize",), rebuild=tokens.detokenized,
)  # fmt: skip
SURFACES = (CHAT, COMPLETIONS, RESPONSES, MESSAGES, COUNT_TOKENS, EMBEDDINGS, TOKENIZE, DETOKENIZE)


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that is well formed. `body` is the engine's; its strings may still be masked. `asked` is the caller's.

    `paths` leads from the names of the body's fields to the caller's names for them, by prefix.
    """

    surface: Surface
    body: Json
    model: str
    stream: bool
    include_usage: bool
    continuous_usage: bool
    unscanned_parts: tuple[str, ...] = ()
    asked: Json = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)

    def places(self) -> Iterator[Place]:
        """Every string of the prompt."""
        return map(self._as_called, self.surface.prompt_places(self.body))

    def joined(self) -> list[list[Place]]:
        """Those of them that are read in one go, so that something may be hidden where they join."""
        return [[self._as_called(place) for place in places] for places in self.surface.joined_places(self.body)]

    def conversations(self) -> list[tuple[str, Turns]]:
        """The prompt as guards read it: each conversation under the path of its newest turn."""
        return [(self.called(where), turns) for where, turns in self.surface.conversations(self.body)]

    def _as_called(self, place: Place) -> Place:
        return replace(place, param=self.called(place.param)) if self.paths else place

    def called(self, path: str) -> str:
        """What the caller calls a field of the engine's body."""
        known, rest = path, ""
        while self.paths and known:
            if known in self.paths:
                return self.paths[known] + rest
            known, dot, last = known.rpartition(".")
            rest = dot + last + rest
        return path

    @property
    def engine_path(self) -> str:
        """Where the engine takes the request."""
        return self.surface.engine_path or self.surface.path

    def upstream_body(self, served_name: str) -> bytes:
        """The body for the engine: its own name for the model, and always with usage."""
        body = {key: value for key, value in self.body.items() if key not in NOT_FORWARDED and value is not None}
        body["model"] = served_name
        body.pop("stream_options", None)
        if self.stream and self.surface.stream_options:
            body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
        return orjson.dumps(body)


def parse_request(surface: Surface, payload: bytes, *, max_choices: int, parts: Unscanned = "refuse") -> CheckedRequest:
    """Check a request body. Raises InvalidRequest naming the field and the mend.

    `parts` says what becomes of a message's images, sounds and files.
    """
    checked, asked = checked_body(surface.model, payload)
    choices = asked.get("n")
    if choices is not None and choices > max_choices:
        raise InvalidRequest(f"n is at most {max_choices}; ask for fewer choices. n 最大为 {max_choices}。", param="n")
    prepared = surface.prepare(asked, parts)
    options = asked.get("stream_options") or {}
    include_usage = surface.always_usage or bool(options.get("include_usage"))
    return CheckedRequest(
        surface=surface,
        body=prepared.body,
        model=checked.model,
        stream=bool(asked.get("stream")),
        include_usage=include_usage,
        continuous_usage=bool(options.get("include_usage") and options.get("continuous_usage_stats")),
        unscanned_parts=prepared.unscanned,
        asked=asked,
        paths=prepared.paths,
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
    if payload.count(b"[") + payload.count(b"{") > MOST_DEPTH and is_too_deep(body):
        raise InvalidRequest(f"The body is nested deeper than {MOST_DEPTH} levels; send it flatter. 请求体嵌套过深。")
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


BRANCHES = ("str", "int", "float", "bool", "dict", InputPart.__name__, responses.Item.__name__, messages.Block.__name__)


def _is_branch(part: Any) -> bool:
    """True for what pydantic adds to a path to say which member of a union it tried."""
    return isinstance(part, str) and ("[" in part or part in BRANCHES)

"""The OpenAPI document of the plain-ASGI endpoints, built from their request models and what they answer."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.control.document import SCHEME
from gateway.surfaces import answers
from gateway.surfaces.moderations import ENDPOINT as MODERATIONS
from gateway.surfaces.moderations import PATH as MODERATIONS_PATH
from gateway.surfaces.moderations import ModerationRequest
from gateway.surfaces.surface import Surface

Json = dict[str, Any]

ANSWERS: dict[str, tuple[type[BaseModel], str]] = {
    "chat.completions": (answers.ChatCompletion, "Answer a conversation"),
    "completions": (answers.Completion, "Continue a text"),
    "responses": (answers.Response, "Answer a conversation, in items"),
    "messages": (answers.MessageAnswer, "Answer a conversation, in Anthropic's format"),
    "messages.count_tokens": (answers.TokenCount, "Count a message's tokens"),
    "embeddings": (answers.Embeddings, "Make vectors of texts"),
    "tokenize": (answers.Tokens, "Cut a text into tokens"),
    "detokenize": (answers.Text, "Put tokens together to a text"),
    MODERATIONS: (answers.Moderation, "Check texts, free of charge"),
}
STATUSES = {
    400: "a field is wrong, or the content policy refuses the prompt",
    401: "no valid key",
    403: "the key may not do this, or is suspended",
    404: "no such model",
    413: "the body is too large",
    429: "too many requests, or nothing left to spend",
    500: "a fault of this service",
    502: "the engine broke off",
    503: "not now; nothing unchecked was sent",
    504: "the engine was silent for too long",
}
SECURITY: list[Json] = [{SCHEME: []}, {"apiKey": []}]
API_KEY: Json = {
    "type": "apiKey",
    "in": "header",
    "name": "x-api-key",
    "description": "The same key, as Anthropic's SDKs send it. / Anthropic SDK 的传法。",
}
REQUEST_ID: Json = {"x-request-id": {"description": "Quote it.", "schema": {"type": "string"}}}
LABEL: Json = {
    "name": "x-opcgate-label",
    "in": "header",
    "required": False,
    "description": "`none` for an answer without visible label; needs a recorded agreement.",
    "schema": {"type": "string", "enum": ["none"]},
}
REF = "#/components/schemas/{model}"


def documented(document: Json, surfaces: Iterable[Surface]) -> Json:
    """The document of the other routes with these endpoints added."""
    asked: list[tuple[Surface | None, str, str, type[BaseModel]]] = [
        (one, path, one.endpoint, one.model) for one in surfaces for path in (one.path, *one.aliases)
    ]
    asked.append((None, MODERATIONS_PATH, MODERATIONS, ModerationRequest))
    kinds = [kind for kind, _ in ANSWERS.values()] + [answers.MessageError]
    shapes: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = []
    shapes += [(model, "validation") for model in dict.fromkeys(one[3] for one in asked)]
    shapes += [(kind, "serialization") for kind in kinds]
    described, definitions = models_json_schema(shapes, ref_template=REF)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= definitions["$defs"]
    metrics, ready = (document["paths"][path]["get"]["responses"] for path in ("/metrics", "/readyz"))
    metrics["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    ready["503"] = ready["200"]
    for surface, path, endpoint, model in asked:
        kind, summary = ANSWERS[endpoint]
        body, answer = described[model, "validation"], described[kind, "serialization"]
        wrong = {"$ref": REF.format(model="MessageError" if endpoint.startswith("messages") else "Error")}
        document["paths"][path] = {
            "post": {
                "tags": ["models"],
                "summary": summary,
                "operationId": path.strip("/").replace("/", "_"),
                "security": SECURITY,
                "parameters": [LABEL] if surface is not None and surface.kind == "generate" else [],
                "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
                "responses": {"200": _good(answer, streams="stream" in model.model_fields)} | _wrong(wrong),
            }
        }
    document["components"].setdefault("securitySchemes", {})["apiKey"] = API_KEY
    return document


def _good(schema: Json, *, streams: bool) -> Json:
    content: Json = {"application/json": {"schema": schema}}
    if streams:
        # No schema: OpenAPI 3.1 can describe a stream as one text only, and readers hold it against each event.
        content["text/event-stream"] = {}
    return {"description": "the answer; a stream of events where asked for", "content": content, "headers": REQUEST_ID}


def _wrong(schema: Json) -> Json:
    content = {"application/json": {"schema": schema}}
    return {
        str(status): {"description": why, "content": content, "headers": REQUEST_ID} for status, why in STATUSES.items()
    }

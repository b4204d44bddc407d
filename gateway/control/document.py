"""The OpenAPI document of the whole app: how callers authenticate, and which errors every route may answer."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

SCHEME = "bearer"
PUBLIC = frozenset({"/livez", "/health", "/readyz", "/metrics"})
"""Paths that need no key; a route says the same of itself by `openapi_extra={"security": []}`."""

METHODS = frozenset({"get", "put", "post", "delete", "patch"})
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
WITH_KEY = {
    "401": "No key, or one that isn't valid. / 未提供有效密钥。",
    "403": "The key is suspended or may not do this. / 密钥已暂停或无此权限。",
}
ALWAYS = {
    "400": "A field is missing or wrong; `param` names it. / 字段有误。",
    "404": "No such thing, or another organisation's. / 不存在或不属于本企业。",
    "500": "Something went wrong here. / 服务内部错误。",
    "503": "Try again in a moment; see `retry-after`. / 暂时不可用，请稍后重试。",
}


def install(app: FastAPI, add: Callable[[dict[str, Any]], object] = lambda _: None) -> None:
    """Let the app answer /openapi.json with the document made here; `add` puts in what FastAPI does not know of."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes)
            complete(made)
            add(made)
            app.openapi_schema = made
        return app.openapi_schema

    made_by: Callable[[], dict[str, Any]] = document
    app.openapi = made_by  # type: ignore[method-assign]


def complete(document: dict[str, Any]) -> None:
    """Add the security scheme, and to each operation the errors that it does not describe itself."""
    components = document.setdefault("components", {})
    components.setdefault("securitySchemes", {})[SCHEME] = {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key: `Authorization: Bearer opc-…`. / API 密钥。",
    }
    components.setdefault("schemas", {})["Error"] = ERROR
    document["security"] = [{SCHEME: []}]
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            if method in METHODS:
                _complete(operation, public=path in PUBLIC)
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)


def _complete(operation: dict[str, Any], *, public: bool) -> None:
    if public:
        operation.setdefault("security", [])
    responses = operation.setdefault("responses", {})
    responses.pop("422", None)  # what FastAPI says for itself; the handlers answer 400 in OpenAI's shape
    with_key = {} if operation.get("security") == [] else WITH_KEY
    for status, description in (ALWAYS | with_key).items():
        responses.setdefault(
            status,
            {
                "description": description,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        )

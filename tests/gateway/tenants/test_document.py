"""The OpenAPI document: who must authenticate, what is said in both languages, which errors every route may answer."""

from typing import Any

import pytest

from tests.gateway.tenants.conftest import Site

METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture(scope="module")
def document(site: Site) -> dict[str, Any]:
    made: dict[str, Any] = site.call(None, "GET", "/openapi.json").json()
    return made


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", one)
        for path, of in document["paths"].items()
        for method, one in of.items()
        if method in METHODS
    ]


def test_keys_are_asked_for_everywhere_but_where_none_is_needed(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert document["security"] == [{"bearer": []}]
    public = {name for name, one in operations(document) if one.get("security") == []}
    assert {"get /health", "get /livez", "get /readyz", "get /metrics"} <= public
    assert not [name for name in public if "/api/v1/keys" in name or "/organisations" in name or "/v1/models" in name]


def test_what_is_public_answers_without_a_key_and_the_rest_does_not(site: Site, document: dict[str, Any]) -> None:
    for name, one in operations(document):
        method, path = name.split(" ")
        if "{" in path or method != "get":
            continue
        answer = site.call(None, method, path)
        assert (answer.status_code == 401) == (one.get("security") != []), name


def test_control_routes_say_what_they_do_in_both_languages(document: dict[str, Any]) -> None:
    for name, one in operations(document):
        if " /api/v1/" in name:
            english, _, chinese = one["summary"].partition(" / ")
            assert english, name
            assert any("\u4e00" <= char <= "\u9fff" for char in chinese), name


def test_every_operation_declares_its_errors_in_openais_shape(document: dict[str, Any]) -> None:
    for name, one in operations(document):
        expected = {"400", "404", "500", "503"} | (set() if one.get("security") == [] else {"401", "403"})
        assert expected <= set(one["responses"]), name
        assert "422" not in one["responses"], "the handlers answer 400"
    assert document["components"]["schemas"]["Error"]["required"] == ["error"]

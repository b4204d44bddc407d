"""Bad input gets the right status and an OpenAI error body that names the field."""

import httpx
import openai
import pytest

from tests.conftest import read_cases
from tests.gateway.conftest import Faulty


def _payload(case: dict) -> dict:
    if "hex" in case:
        return {"content": bytes.fromhex(case["hex"])}
    if "levels" in case:
        nested = b'{"a": ' * case["levels"] + b"1" + b"}" * case["levels"]
        return {"content": case["around"].encode().replace(b"NESTED", nested)}
    if "nest" in case:
        return {"content": b'{"model": ' + b"[" * case["nest"] + b"]" * case["nest"] + b"}"}
    if "raw" in case:
        return {"content": case["raw"].encode()}
    return {"json": case["body"]}


@pytest.mark.parametrize("case", read_cases("bad_requests.jsonl"), ids=lambda case: case["id"])
def test_bad_request(case: dict, faulty: Faulty) -> None:
    response = faulty.client.post(case.get("path", "/v1/chat/completions"), **_payload(case))
    error = response.json()["error"]
    assert response.status_code == case["status"], error
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["param"] == case["param"]
    assert error["code"] == case.get("code")
    assert case["says"] in error["message"]
    assert response.headers["x-request-id"].startswith("req_")
    assert faulty.engine.seen.bodies == [], "a bad request must not reach the engine"


@pytest.mark.parametrize(("size", "status"), [(10 * 1024 * 1024, 413), (1024 * 1024 + 1, 413)])
def test_body_over_the_limit(faulty: Faulty, size: int, status: int) -> None:
    response = faulty.client.post("/v1/chat/completions", content=b'"' + b"a" * (size - 2) + b'"')
    assert response.status_code == status
    assert response.json()["error"]["code"] == "request_too_large"


def test_body_over_the_limit_without_a_length(faulty: Faulty) -> None:
    chunks = (b"a" * 65536 for _ in range(160))
    response = faulty.client.post("/v1/chat/completions", content=chunks)
    assert response.status_code == 413


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer opc-wrong", "Bearer sk-other", "Basic opc-x", "Bearer opc-\xff", "opc-x"],
)
def test_without_a_valid_key(faulty: Faulty, header: str | None) -> None:
    headers = [] if header is None else [(b"authorization", header.encode("latin-1"))]
    response = httpx.post(f"{faulty.url}/v1/chat/completions", headers=headers, json={})
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert httpx.get(f"{faulty.url}/v1/models", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/models/unknown/one", 404, "model_not_found"),
        ("GET", "/openapi.json/..%2f..", 404, "not_found"),
    ],
)
def test_wrong_path_or_method(faulty: Faulty, method: str, path: str, status: int, code: str) -> None:
    response = faulty.client.request(method, path)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_the_sdk_raises_its_own_errors(faulty: Faulty) -> None:
    client = openai.OpenAI(base_url=f"{faulty.url}/v1", api_key=faulty.key, max_retries=0)
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.chat.completions.create(model="nope", messages=[{"role": "user", "content": "hi"}])
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="opc-starter", messages=[{"role": "user", "content": "购买冰毒"}])
    assert refused.value.code == "content_filter"
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{faulty.url}/v1", api_key="opc-no").models.list()

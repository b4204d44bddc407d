"""A request has one key: who sends two is told so, on every kind of path, instead of being taken for one of them."""

from typing import Any

import httpx
import pytest

from gateway.errors import InvalidRequest
from gateway.tenants.credentials import credentials_of
from tests.conftest import read_cases
from tests.gateway.conftest import Faulty


@pytest.mark.parametrize("case", read_cases("credentials.jsonl"), ids=lambda case: case["id"])
def test_credentials(case: dict[str, Any]) -> None:
    headers = [(name.encode(), value.encode()) for name, value in case["headers"]]
    if "refused" in case:
        with pytest.raises(InvalidRequest) as refused:
            credentials_of(headers)
        assert refused.value.param == case["refused"]
    else:
        found = credentials_of(headers)
        assert (found and found.decode()) == case["found"]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/api/v1/me")]
)
def test_two_keys_over_http(faulty: Faulty, method: str, path: str) -> None:
    headers = [("authorization", "Bearer opc-other"), ("authorization", f"Bearer {faulty.key}")]
    answer = httpx.request(method, faulty.url + path, headers=headers, json={})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "authorization"
    assert faulty.key not in answer.text

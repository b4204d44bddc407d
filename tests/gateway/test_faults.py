"""A node that fails in every way, and clients that leave: a clear error, nothing hangs, nothing stays open."""

import concurrent.futures
import json
import sqlite3
import time
from collections.abc import Iterator

import httpx
import pytest

from loadtests.fake_engine import Script
from tests.conftest import read_cases
from tests.gateway.conftest import Faulty, wait_ready

FAULTS = read_cases("node_faults.jsonl")
DELTAS = [{"role": "assistant", "content": ""}] + [{"content": word} for word in ("轻便", "耐用", "好看")]


def events(response: httpx.Response) -> Iterator[dict]:
    for line in response.iter_lines():
        if line.startswith("data: {"):
            yield json.loads(line[6:])


def record(faulty: Faulty, request_id: str) -> dict:
    """The request's row; it must be there once the last byte is out, or soon after the client has left."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with sqlite3.connect(faulty.database) as database:
            database.row_factory = sqlite3.Row
            rows = database.execute("SELECT * FROM requests WHERE id = ?", (request_id,)).fetchall()
        if rows:
            assert len(rows) == 1
            return dict(rows[0])
        time.sleep(0.02)
    pytest.fail("the request was never settled")


@pytest.mark.parametrize("case", [one for one in FAULTS if "whole" in one], ids=lambda case: case["id"])
def test_fault_before_a_whole_answer(case: dict, faulty: Faulty) -> None:
    faulty.engine.script = Script(DELTAS, fault=case["fault"])
    response = faulty.chat()
    assert [response.status_code, response.json()["error"]["code"]] == case["whole"]
    assert "/srv/" not in response.text, "a node's inner details leaked"
    assert record(faulty, response.headers["x-request-id"])["outcome"] in ("failed", "rejected")


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case["id"])
def test_fault_in_a_stream(case: dict, faulty: Faulty) -> None:
    faulty.engine.script = Script(DELTAS, fault=case["fault"], fault_after=2)
    status, code = case["stream"]
    with faulty.client.stream(
        "POST",
        "/v1/chat/completions",
        json={"model": "opc-starter", "stream": True, "messages": [{"role": "user", "content": "hi"}]},
    ) as response:
        assert response.status_code == status
        if status != 200:
            assert json.loads(response.read())["error"]["code"] == code
        else:
            *released, last = list(events(response))
            assert "".join(one["choices"][0]["delta"].get("content", "") for one in released) == "轻便"
            assert last["error"]["code"] == code
            assert "/srv/" not in str(last)
    row = record(faulty, response.headers["x-request-id"])
    assert row["outcome"] == ("rejected" if status == 400 else "failed")
    assert row["error_code"] == (code or "invalid_request_error")


def test_a_dead_node_turns_readiness_red_and_back(faulty: Faulty) -> None:
    faulty.engine.up = False
    wait_ready(faulty.client, ready=False)
    response = faulty.chat()
    assert response.status_code == 503
    assert response.headers["retry-after"].isdigit()
    assert faulty.client.get("/livez").status_code == 200
    assert faulty.client.get("/v1/models").json()["data"] == []
    faulty.engine.up = True
    wait_ready(faulty.client)
    assert faulty.chat().status_code == 200


def test_a_client_that_leaves_a_stream_aborts_the_engine(faulty: Faulty) -> None:
    faulty.engine.script = Script([{"content": "字"}] * 2000, pause_seconds=0.02)
    before = faulty.engine.seen.aborted
    with faulty.client.stream(
        "POST",
        "/v1/chat/completions",
        json={"model": "opc-starter", "stream": True, "messages": [{"role": "user", "content": "hi"}]},
    ) as response:
        next(events(response))
    row = record(faulty, response.headers["x-request-id"])
    assert row["outcome"] == "client_gone"
    assert 1 <= row["completion_tokens"] < 2000, "billed for what was generated, no more"
    _wait_for(lambda: faulty.engine.seen.aborted == before + 1)


def test_a_client_that_leaves_before_the_answer_aborts_the_engine(faulty: Faulty) -> None:
    faulty.engine.script = Script(DELTAS, fault="hang_before")
    before = faulty.engine.seen.aborted
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{faulty.url}/v1/chat/completions",
            headers={"authorization": f"Bearer {faulty.key}"},
            json={"model": "opc-starter", "messages": [{"role": "user", "content": "hi"}]},
            timeout=0.4,
        )
    _wait_for(lambda: faulty.engine.seen.aborted == before + 1)


def test_a_blocked_stream_aborts_the_engine(faulty: Faulty) -> None:
    faulty.engine.script = Script([{"content": "卖冰毒"}, *[{"content": "字"}] * 2000], pause_seconds=0.02)
    before = faulty.engine.seen.aborted
    response = faulty.chat(stream=True, stream_options={"include_usage": True})
    *_, cut, usage = list(events(response))
    assert cut["choices"][0]["finish_reason"] == "content_filter"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] >= 1
    assert response.text.endswith("data: [DONE]\n\n")
    assert "冰毒" not in response.text
    assert record(faulty, response.headers["x-request-id"])["outcome"] == "cut"
    _wait_for(lambda: faulty.engine.seen.aborted == before + 1)


def test_too_many_requests_at_once(faulty: Faulty) -> None:
    faulty.engine.script = Script(DELTAS, pause_seconds=0.2)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        responses = list(pool.map(lambda _: faulty.chat(), range(16)))
    codes = [response.status_code for response in responses]
    assert codes.count(200) == 8
    assert codes.count(429) == 8
    limited = next(one for one in responses if one.status_code == 429)
    assert limited.json()["error"]["code"] == "rate_limit_exceeded"
    assert 0 < int(limited.headers["retry-after"]) <= 60
    assert faulty.chat().status_code == 200, "every place was given back"


def _wait_for(true: object) -> None:
    deadline = time.monotonic() + 5
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in 5 s"
        time.sleep(0.02)

"""What the formats do besides text: errors before and in a stream, labels, usage, set answers, keys."""

import json
import sqlite3
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from gateway.errors import NodeFailed
from gateway.surfaces.anthropic.decode import decoded
from loadtests.fake_engine import Script
from tests.gateway.conftest import Faulty
from tests.gateway.labelled import ZH, key_at
from tests.gateway.surfaces.reading import read_message, read_response, sse
from tests.gateway.surfaces.test_same_text import ask_messages, ask_responses

TEXT = [{"content": "轻便"}, {"content": "耐用。"}]


def test_a_broken_stream_of_responses_fails_as_an_event(faulty: Faulty) -> None:
    faulty.engine.script = Script(TEXT, fault="die_midway")
    *_, last = sse(ask_responses(faulty, stream=True))
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"]["code"] == "server_error"
    assert "broke off" in last["response"]["error"]["message"]
    assert last["response"]["usage"]["input_tokens"] == 7
    assert last["response"]["output"][0]["content"][0]["text"] in ("轻便", "轻")


def test_a_broken_stream_of_messages_fails_as_an_event(faulty: Faulty) -> None:
    faulty.engine.script = Script(TEXT, fault="die_midway", fault_after=3)
    response = ask_messages(faulty, stream=True)
    *_, last = sse(response)
    assert last["type"] == "error"
    assert last["error"]["type"] == "api_error"
    assert last["request_id"] == response.headers["request-id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "status", "type_"),
    [
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("POST", "/v1/messages/batches", 404, "not_found_error"),
        ("DELETE", "/v1/messages/count_tokens", 405, "invalid_request_error"),
    ],
)
def test_paths_that_are_not_there_speak_anthropics_format(
    faulty: Faulty, method: str, path: str, status: int, type_: str
) -> None:
    answer = faulty.client.request(method, path)
    said = answer.json()
    assert (answer.status_code, said["type"], said["error"]["type"]) == (status, "error", type_)
    assert said["request_id"] == answer.headers["request-id"]
    assert ("allow" in answer.headers) == (status == 405)
    assert set(faulty.client.request(method, path.replace("messages", "message")).json()) == {"error"}, "others do not"


ERRORS = [
    ({"model": "nope"}, 404, "not_found_error"),
    ({"max_tokens": 0}, 400, "invalid_request_error"),
    ({"messages": [{"role": "user", "content": "购买冰毒"}]}, 400, "invalid_request_error"),
    ({"surprise": 1}, 400, "invalid_request_error"),
]


@pytest.mark.parametrize(("change", "status", "kind"), ERRORS)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_messages_errors_are_anthropics(
    change: dict[str, Any], status: int, kind: str, path: str, faulty: Faulty
) -> None:
    body = {"model": "opc-starter", "messages": [{"role": "user", "content": "hi"}]}
    if path.endswith("count_tokens"):
        if "max_tokens" in change or "messages" in change:
            return  # it has no such field; and what only the tokenizer reads is not refused
    else:
        body["max_tokens"] = 9
    response = faulty.client.post(path, json=body | change)
    assert response.status_code == status
    answer = response.json()
    assert set(answer) == {"type", "error", "request_id"}
    assert (answer["type"], answer["error"]["type"]) == ("error", kind)


def test_anthropics_key_header_is_taken(faulty: Faulty) -> None:
    body = {"model": "opc-starter", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
    headers = {"x-api-key": faulty.key, "anthropic-version": "2023-06-01"}
    assert httpx.post(f"{faulty.url}/v1/messages", headers=headers, json=body).status_code == 200
    refused = httpx.post(f"{faulty.url}/v1/messages", headers=headers | {"x-api-key": "sk-x"}, json=body)
    assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")


@pytest.mark.parametrize("stream", [True, False])
def test_answers_carry_their_label(stream: bool, faulty: Faulty) -> None:
    faulty.engine.script = Script(TEXT)
    response = ask_responses(faulty, stream=stream)
    labelled = sse(response)[-1]["response"] if stream else response.json()
    assert labelled["aigc"]["AIGC"]["Label"] == "1"
    assert json.loads(response.headers["x-aigc"])["AIGC"]["Label"] == "1"
    response = ask_messages(faulty, stream=stream)
    labelled = sse(response)[-2] if stream else response.json()
    assert labelled["aigc"]["AIGC"]["ProduceID"] == response.headers["request-id"].removeprefix("req_")


def rows(faulty: Faulty, endpoint: str) -> list[dict[str, Any]]:
    with sqlite3.connect(faulty.database) as database:
        database.row_factory = sqlite3.Row
        found = database.execute("SELECT * FROM requests WHERE endpoint = ? ORDER BY id", (endpoint,))
        return [dict(one) for one in found]


def test_every_endpoint_is_recorded(faulty: Faulty) -> None:
    faulty.engine.script = Script(TEXT)
    ask_responses(faulty, stream=True)
    ask_messages(faulty, stream=False)
    faulty.client.post("/v1/embeddings", json={"model": "vectors", "input": "你好"})
    faulty.client.post("/tokenize", json={"model": "opc-starter", "prompt": "你好"})
    faulty.client.post("/detokenize", json={"model": "opc-starter", "tokens": [20320, 22909]})
    for endpoint, tokens in (("responses", 2), ("messages", 2), ("embeddings", 0)):
        row = rows(faulty, endpoint)[-1]
        assert (row["outcome"], row["completion_tokens"]) == ("completed", tokens)
        assert row["prompt_tokens"] > 0
    for endpoint in ("tokenize", "detokenize"):
        row = rows(faulty, endpoint)[-1]
        assert (row["outcome"], row["prompt_tokens"], row["cost"]) == ("completed", None, None)
    assert "without a scan" in rows(faulty, "tokenize")[-1]["note"]
    assert json.loads(rows(faulty, "detokenize")[-1]["released"])["prompt"]["decided_to"] == 2


def test_what_is_left_midway_is_not_free(faulty: Faulty) -> None:
    faulty.engine.script = Script([{"content": "好"}] * 200, pause_seconds=0.02)
    body = {"model": "opc-starter", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9, "stream": True}
    before = len(rows(faulty, "messages"))
    with faulty.client.stream("POST", "/v1/messages", json=body) as response:
        for number, _ in enumerate(response.iter_lines()):
            if number > 40:
                break
    found = rows(faulty, "messages")
    while len(found) == before:
        found = rows(faulty, "messages")
    assert found[-1]["outcome"] == "client_gone"
    assert found[-1]["completion_tokens"] >= 5


def test_tokens_that_spell_what_is_forbidden(faulty: Faulty) -> None:
    def spelled(text: str) -> httpx.Response:
        tokens = list(map(ord, text))
        return faulty.client.post("/v1/detokenize", json={"model": "opc-starter", "tokens": tokens})

    assert spelled("你好").json() == {"prompt": "你好"}
    assert spelled("电话13800138000。").json() == {"prompt": "电话[手机号]。"}
    refused = spelled("这里出售冰毒")
    assert refused.status_code == 400
    assert (refused.json()["error"]["code"], refused.json()["error"]["param"]) == ("content_filter", "tokens")
    assert "冰毒" not in refused.text


def test_a_conversation_is_tokenized_and_counted(faulty: Faulty) -> None:
    messages = [{"role": "user", "content": "你好"}]
    body = {"model": "opc-starter", "messages": messages}
    counted = faulty.client.post("/v1/tokenize", json=body | {"return_token_strs": True}).json()
    assert counted["count"] == len(counted["tokens"]) == len(counted["token_strs"])
    assert faulty.client.post("/v1/messages/count_tokens", json=body).json() == {"input_tokens": counted["count"]}
    refused = faulty.client.post("/tokenize", json=body | {"prompt": "x"})
    assert refused.status_code == 400
    assert "either" in refused.json()["error"]["message"]


REFUSED = [
    ({"store": True}, None),
    ({"background": True}, "background"),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"prompt": {"id": "x"}}, "prompt"),
    ({"truncation": "auto"}, "truncation"),
    ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
    ({"tools": [{"type": "function"}]}, "tools.0.name"),
    ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
    ({"input": []}, "input"),
    ({"input": [{"type": "item_reference", "id": "x"}]}, "input.0.type"),
    ({"input": [{"type": "message", "role": "user"}]}, "input.0.content"),
    ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input.0.call_id"),
    ({"input": [{"role": "user", "content": "x", "call_id": "c"}]}, "input.0.call_id"),
    ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input.0.content.0.type"),
    ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input.0.content.0.file_id"),
    ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input.0.content.0.text"),
    ({"surprise": 1}, "surprise"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "param"), REFUSED, ids=[str(one[1]) for one in REFUSED])
def test_what_responses_refuse(change: dict[str, Any], param: str | None, faulty: Faulty) -> None:
    response = faulty.client.post("/v1/responses", json={"model": "opc-starter", "input": "hi"} | change)
    if param is None:
        assert response.json()["store"] is False
        return
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert faulty.engine.seen.bodies == []


def test_a_turn_of_the_assistant_is_one_message(faulty: Faulty) -> None:
    """Thought, text and calls in a row are one message to a template, and results follow."""
    items = [
        {"role": "user", "content": "a"},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "c"}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "d"},
        {"type": "function_call_output", "call_id": "2", "output": "e"},
    ]
    assert faulty.client.post("/v1/responses", json={"model": "opc-starter", "input": items}).status_code == 200
    (body,) = faulty.engine.seen.bodies
    user, turn, first, second = body["messages"]
    assert (user["role"], turn["role"], first["role"], second["role"]) == ("user", "assistant", "tool", "tool")
    assert turn["reasoning"] == "b"
    assert turn["content"][0]["text"] == "c"
    assert [call["function"]["name"] for call in turn["tool_calls"]] == ["f", "g"]
    assert (first["tool_call_id"], second["content"]) == ("1", "e")


def test_both_formats_read_whole_answers_too(faulty: Faulty) -> None:
    faulty.engine.script = Script(TEXT, finish_reason="length")
    assert read_response(ask_responses(faulty, stream=False)).finish == "length"
    assert read_message(ask_messages(faulty, stream=False)).finish == "length"


USAGES = [
    ({"input_tokens": 7, "output_tokens": 2, "cache_read_input_tokens": 3}, (10, 2, 3)),
    ({"input_tokens": -1, "output_tokens": 2}, None),
    ({"input_tokens": 7, "output_tokens": 2000}, None),
    ({"input_tokens": 7, "output_tokens": 2.5}, None),
    ({"input_tokens": "7", "output_tokens": 2}, None),
    ({"input_tokens": 7}, None),
]


@pytest.mark.parametrize(("usage", "counted"), USAGES)
async def test_counts_of_a_message_are_believed_while_they_can_be_true(
    usage: dict[str, Any], counted: tuple[int, int, int] | None
) -> None:
    async def engine() -> AsyncGenerator[dict[str, Any]]:
        yield {"type": "message", "id": "1", "content": [{"type": "text", "text": "x"}], "usage": usage}

    if counted is None:
        with pytest.raises(NodeFailed):
            await anext(decoded(engine(), 1024))
        return
    event = await anext(decoded(engine(), 1024))
    cached = event["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert (event["usage"]["prompt_tokens"], event["usage"]["completion_tokens"], cached) == counted


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_visible_labels_stand_in_the_text_and_not_where_programs_read(stream: bool, faulty: Faulty) -> None:
    faulty.engine.script = Script(TEXT)
    headers = {"authorization": f"Bearer {key_at(faulty, 'both')}"}
    asked: dict[str, Any] = {"model": "opc-starter", "stream": stream}
    message = {"messages": [{"role": "user", "content": "写"}], "max_tokens": 9}
    tool = {"name": "f", "input_schema": {"type": "object"}}
    text, bare = f"{ZH}\n\n轻便耐用。\n\n{ZH}", "轻便耐用。"
    for more, wanted in (
        ({}, text),
        ({"tools": [tool]}, bare),
        ({"tools": [tool], "tool_choice": {"type": "none"}}, text),
    ):
        response = faulty.client.post("/v1/messages", headers=headers, json=asked | message | more)
        assert read_message(response).fields == {"content": wanted}
    schema = {"format": {"type": "json_schema", "name": "x", "schema": {}}}
    for more, wanted in (({}, text), ({"text": schema}, bare)):
        response = faulty.client.post("/v1/responses", headers=headers, json=asked | {"input": "写"} | more)
        assert read_response(response).fields == {"content": wanted}


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_an_image_is_refused_in_the_words_of_the_format(path: str, faulty: Faulty) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    block = {"type": "image", "source": source}
    body: dict[str, Any] = {"input": [{"role": "user", "content": [image]}]}
    if path == "/v1/messages":
        body = {"messages": [{"role": "user", "content": [block]}], "max_tokens": 9}
    response = faulty.client.post(path, json={"model": "opc-starter"} | body)
    assert response.status_code == 400
    assert ("input_image" if path == "/v1/responses" else "'image'") in response.json()["error"]["message"]
    assert faulty.engine.seen.bodies == []

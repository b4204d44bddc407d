"""What callers get of a good answer: the same from a stream and from a whole answer, on every field."""

import json

import httpx
import pytest

from loadtests.fake_engine import Script
from tests.gateway.conftest import Faulty
from tests.gateway.test_faults import events

PHONE = "13800138000"
TEXTS = [
    ("clean", "轻便耐用，适合露营。", "stop"),
    ("masked", f"请联系{PHONE}下单，或发邮件到 zhang.san@example.com。", "stop"),
    ("blocked", "限时优惠！本店出售冰毒，量大从优。", "content_filter"),
    ("masked-then-blocked", f"电话{PHONE}，出售冰毒。", "content_filter"),
    ("held-at-the-end", "我的电话是1380013", "stop"),
]
SPLITS = [1, 2, 3, 7, 1000]


def collected(response: httpx.Response, field: str) -> tuple[str, str]:
    """(text, finish_reason) of choice 0 of a streamed or whole chat answer."""
    assert response.status_code == 200, response.text
    if response.headers["content-type"] == "application/json":
        choice = response.json()["choices"][0]
        return choice["message"].get(field) or "", choice["finish_reason"]
    deltas = [one["choices"][0] for one in events(response) if one["choices"]]
    text = "".join(one["delta"].get(field) or "" for one in deltas)
    return text, next(one["finish_reason"] for one in deltas if one["finish_reason"])


@pytest.mark.parametrize("size", SPLITS)
@pytest.mark.parametrize(("name", "text", "finish"), TEXTS, ids=[one[0] for one in TEXTS])
@pytest.mark.parametrize("field", ["content", "reasoning"])
def test_stream_and_whole_agree(faulty: Faulty, field: str, name: str, text: str, finish: str, size: int) -> None:
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    faulty.engine.script = Script([{"role": "assistant", "content": ""}, *({field: piece} for piece in pieces)])
    streamed = collected(faulty.chat(stream=True), field)
    assert streamed == collected(faulty.chat(), field)
    assert streamed[1] == finish
    assert PHONE not in streamed[0]
    assert "冰毒" not in streamed[0]
    if name == "clean":
        assert streamed[0] == text


def test_tool_call_arguments_are_guarded(faulty: Faulty) -> None:
    arguments = json.dumps({"to": PHONE, "note": "你好"})
    pieces = [arguments[start : start + 3] for start in range(0, len(arguments), 3)]
    first = {
        "tool_calls": [
            {"index": 0, "id": "call-1", "type": "function", "function": {"name": "send_sms", "arguments": ""}}
        ]
    }
    rest = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]
    faulty.engine.script = Script([first, *rest], finish_reason="tool_calls")
    deltas = [one["choices"][0]["delta"] for one in events(faulty.chat(stream=True)) if one["choices"]]
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert calls[0]["id"] == "call-1"
    assert calls[0]["function"]["name"] == "send_sms"
    streamed = "".join(call["function"].get("arguments", "") for call in calls)
    whole = faulty.chat().json()["choices"][0]["message"]["tool_calls"]
    assert [one["function"]["arguments"] for one in whole] == [streamed]
    assert "index" not in whole[0]
    assert PHONE not in streamed
    assert json.loads(streamed)["note"] == "你好", "masking keeps the JSON whole"


def test_each_choice_has_a_gate_of_its_own(faulty: Faulty) -> None:
    faulty.engine.script = Script([{"content": "电话138"}, {"content": "00138000。"}], choices=3)
    found: dict[int, str] = {0: "", 1: "", 2: ""}
    for event in events(faulty.chat(stream=True, n=3)):
        for choice in event["choices"]:
            found[choice["index"]] += choice["delta"].get("content", "")
    assert len(set(found.values())) == 1
    assert "138" not in found[0]
    whole = [choice["message"]["content"] for choice in faulty.chat(n=3).json()["choices"]]
    assert whole == list(found.values())


def test_completions_are_guarded(faulty: Faulty) -> None:
    faulty.engine.script = Script([{"content": "电话138"}, {"content": "00138000。"}])
    body = {"model": "opc-starter", "prompt": "x"}
    whole = faulty.client.post("/v1/completions", json=body).json()["choices"][0]
    streamed = list(events(faulty.client.post("/v1/completions", json=body | {"stream": True})))
    assert "".join(one["choices"][0]["text"] for one in streamed if one["choices"]) == whole["text"]
    assert "138" not in whole["text"]


def test_no_logprob_of_a_masked_span(faulty: Faulty) -> None:
    faulty.engine.script = Script([{"content": piece} for piece in ("电话138", "0013", "8000。", "好")], logprobs=True)
    for response in (faulty.chat(logprobs=True), faulty.chat(logprobs=True, stream=True)):
        if response.headers["content-type"] == "application/json":
            tables = [response.json()["choices"][0]["logprobs"]]
        else:
            tables = [one["choices"][0]["logprobs"] for one in events(response) if one["choices"]]
        tokens = "".join(entry["token"] for table in tables if table for entry in table["content"])
        assert tokens == "电话。好"


def test_the_prompt_is_masked_before_the_engine_sees_it(faulty: Faulty) -> None:
    faulty.chat(messages=[{"role": "user", "content": f"给{PHONE}写一条短信"}], user="someone")
    (body,) = faulty.engine.seen.bodies
    assert PHONE not in json.dumps(body, ensure_ascii=False)
    assert body["messages"][0]["content"].startswith("给[")
    assert "user" not in body


def test_usage_only_when_asked(faulty: Faulty) -> None:
    faulty.engine.script = Script([{"content": "好"}, {"content": "的"}])
    silent = list(events(faulty.chat(stream=True)))
    assert all("usage" not in one for one in silent)
    *_, last = events(faulty.chat(stream=True, stream_options={"include_usage": True}))
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert faulty.chat().json()["usage"]["completion_tokens"] == 2
    running = list(
        events(faulty.chat(stream=True, stream_options={"include_usage": True, "continuous_usage_stats": True}))
    )
    assert all(one["usage"] for one in running)


def test_an_engine_without_usage_still_gives_an_answer(faulty: Faulty) -> None:
    faulty.engine.script = Script([{"content": "好"}], fault="no_usage")
    assert collected(faulty.chat(stream=True), "content") == ("好", "stop")


def test_readiness_models_and_metrics(faulty: Faulty) -> None:
    faulty.chat()
    for path in ("/health", "/livez", "/readyz"):
        assert httpx.get(faulty.url + path).status_code == 200
    model, _vectors = faulty.client.get("/v1/models").json()["data"]
    assert (model["id"], model["object"], model["owned_by"]) == ("opc-starter", "model", "opcgate")
    assert faulty.client.get("/v1/models/opc-starter").json()["id"] == "opc-starter"
    text = httpx.get(f"{faulty.url}/metrics").text
    assert 'opcgate_requests_total{endpoint="chat.completions",model="opc-starter",outcome="completed"}' in text
    assert 'opcgate_node_ready{node="fake"} 1.0' in text

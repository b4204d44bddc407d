"""Every surface that reaches the model or the caller, one row each: what is forbidden does not pass it."""

import json
from typing import Any

import httpx
import pytest

from compliance.pipeline import Pipeline
from gateway.errors import InvalidRequest
from gateway.logprobs import LogprobHold
from gateway.request import CHAT as CHAT_SURFACE
from gateway.request import parse_request
from loadtests.fake_engine import Script
from tests.conftest import read_cases
from tests.gateway.conftest import Faulty
from tests.gateway.test_faults import events

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize("case", read_cases("surfaces_in.jsonl"), ids=lambda case: case["id"])
def test_on_the_way_in(case: dict[str, Any], faulty: Faulty) -> None:
    response = faulty.client.post(case.get("path", CHAT), json={"model": "opc-starter"} | case["body"])
    reached = json.dumps(faulty.engine.seen.bodies, ensure_ascii=False)
    assert case["term"] not in reached
    if "refused_at" in case:
        assert response.status_code == 400, response.text
        assert response.json()["error"]["param"] == case["refused_at"]
        assert faulty.engine.seen.bodies == []
        assert case["term"] not in response.text
        return
    assert response.status_code == 200, response.text
    (body,) = faulty.engine.seen.bodies
    if "masked_at" in case:
        assert "[手机号]" in _at(body, case["masked_at"])


def _at(body: Any, path: str) -> str:
    for step in path.split("."):
        body = body[int(step)] if isinstance(body, list) else body[step]
    return str(body)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("case", read_cases("surfaces_out.jsonl"), ids=lambda case: case["id"])
def test_on_the_way_out(case: dict[str, Any], stream: bool, faulty: Faulty) -> None:
    faulty.engine.script = Script(
        case["deltas"], finish_reason=case.get("finish_reason", "stop"), choices=case.get("choices", 1)
    )
    path = case.get("path", CHAT)
    ask = {"messages": [{"role": "user", "content": "hi"}]} if path == CHAT else {"prompt": "hi"}
    body = {"model": "opc-starter", "stream": stream} | ask | case.get("request", {})
    response = faulty.client.post(path, json=body)
    assert response.status_code == 200, response.text
    said = spoken(response)
    whole = json.dumps(said, ensure_ascii=False)
    for one in case["absent"]:
        assert one not in "".join(said.values())
        assert one not in whole
    assert len(finishes(response)) == case.get("choices", 1)
    assert set(finishes(response)) == {case["finish"]}
    for index in range(case.get("choices", 1)):
        for field, text in case.get("reads", {}).items():
            assert said.get(f"{index}.{field}", "") == text


HELD = [
    ("我的电话是1380013", "我的电话是1380013"),
    ("电话13800138000", "电话[手机号]"),
    ("这里出售冰毒", "这里"),
]


@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("text", "reads"), HELD, ids=[one[0] for one in HELD])
def test_what_is_held_is_decided_though_the_engine_never_says_that_it_is_over(
    text: str, reads: str, stream: bool, path: str, faulty: Faulty
) -> None:
    faulty.engine.script = Script([{"content": piece} for piece in text], finish_reason=None)  # type: ignore[arg-type]
    ask = {"messages": [{"role": "user", "content": "hi"}]} if path == CHAT else {"prompt": "hi"}
    response = faulty.client.post(path, json={"model": "opc-starter", "stream": stream} | ask)
    assert spoken(response)["0.content" if path == CHAT else "0.text"] == reads
    assert finishes(response) == (["content_filter"] if text != reads and "[" not in reads else [])


def choices_of(response: httpx.Response) -> list[dict[str, Any]]:
    answers = events(response) if "event-stream" in response.headers["content-type"] else [response.json()]
    return [choice for one in answers for choice in one["choices"]]


def spoken(response: httpx.Response) -> dict[str, str]:
    """All strings of an answer, those of a stream put together: by choice and field."""
    said: dict[str, str] = {}
    for choice in choices_of(response):
        part = choice.get("delta") or choice.get("message") or {"text": choice.get("text")}
        _gather(part, str(choice["index"]), said)
        assert set(choice) <= {"index", "delta", "message", "text", "logprobs", "finish_reason", "stop_reason"}
    return said


def _gather(value: Any, path: str, said: dict[str, str]) -> None:
    if isinstance(value, str):
        said[path] = said.get(path, "") + value
    elif isinstance(value, dict):
        for key, below in value.items():
            _gather(below, f"{path}.{key}", said)
    elif isinstance(value, list):
        for number, below in enumerate(value):
            _gather(below, f"{path}.{below.get('index', number) if isinstance(below, dict) else number}", said)


def finishes(response: httpx.Response) -> list[str]:
    return [choice["finish_reason"] for choice in choices_of(response) if choice["finish_reason"]]


ALTERNATIVES = [
    ("我的电话是1380013800", ["0", "5", "，", "好"], ["，", "好"]),
    ("这里出售冰", ["毒", "箱", "毒品"], ["箱"]),
    ("这里", ["出售冰毒", "出售"], ["出售"]),
    ("这里出售冰毒", ["吗", "？"], ["吗", "？"]),
    ("你好", ["吗", "呀"], ["吗", "呀"]),
]


@pytest.mark.parametrize(("before", "alternatives", "kept"), ALTERNATIVES, ids=[one[0] for one in ALTERNATIVES])
def test_no_alternative_completes_what_is_masked_or_blocked(
    before: str, alternatives: list[str], kept: list[str], shipped: Pipeline
) -> None:
    table = [{"token": one, "logprob": -1.0, "bytes": list(one.encode())} for one in alternatives]
    hold = LogprobHold(shipped)
    tokens: list[tuple[str, Any]] = [(before, {"token": before, "top_logprobs": []})]
    hold.decide(len(before) + 1, ())
    entries = hold.feed(f"{before}个", [*tokens, ("个", {"token": "个", "top_logprobs": table})], final=True)
    assert [one["token"] for one in entries[-1]["top_logprobs"]] == kept
    hold = LogprobHold(shipped)
    hold.decide(len(before) + 1, ())
    row = ("个", -1.0, dict.fromkeys(alternatives, -1.0) | {"个": -1.0}, 0)
    rows = hold.feed(f"{before}个", [(before, (before, -1.0, None, 0)), ("个", row)], final=True)
    assert list(rows[-1][2]) == [*kept, "个"]


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}


def with_part(part: dict[str, Any]) -> bytes:
    content = [{"type": "text", "text": "图里有什么？"}, part]
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()


def test_other_parts_pass_only_where_the_settings_say_so() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_request(CHAT_SURFACE, with_part(IMAGE), max_choices=1)
    assert refused.value.param == "messages.0.content.1.type"
    request = parse_request(CHAT_SURFACE, with_part(IMAGE), max_choices=1, parts="pass")
    assert request.unscanned_parts == ("image_url",)
    assert json.loads(request.upstream_body("m"))["messages"][0]["content"][1] == IMAGE
    texts = {place.param: place.text for place in request.places()}
    assert texts["messages.0.content.1.image_url.detail"] == "low", "the strings beside the data are scanned"
    assert "data:image/png;base64,AAAA" not in texts.values()
    assert request.conversations()[0][1][0].text == "图里有什么？"


@pytest.mark.parametrize("url", ["http://10.0.0.1/secret", "file:///etc/passwd", 5, None])
def test_a_part_never_makes_a_node_fetch_an_address(url: Any) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    if url is None:
        part = {"type": "image_url"}
    with pytest.raises(InvalidRequest) as refused:
        parse_request(CHAT_SURFACE, with_part(part), max_choices=1, parts="pass")
    assert refused.value.param is not None
    assert refused.value.param.startswith("messages.0.content.1.image_url")

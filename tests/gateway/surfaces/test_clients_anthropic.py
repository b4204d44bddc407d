"""Anthropic's SDK against the real engine, through vLLM's own endpoint for messages."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.conftest import Served

pytestmark = pytest.mark.engine

MODEL = "opc-starter"
GREEDY = {"temperature": 0}  # newer SDKs have no argument for it
ASK: list[Any] = [{"role": "user", "content": "为便携榨汁杯写一句卖点，突出无线、易清洗"}]
TOOL: Any = {
    "name": "save_copy",
    "description": "保存文案",
    "strict": True,
    "input_schema": {
        "type": "object",
        "properties": {"lang": {"type": "string", "enum": ["zh", "en"]}},
        "required": ["lang"],
        "additionalProperties": False,
    },
}


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=served.url, api_key=served.key, max_retries=0, timeout=120) as client:
        yield client


def test_a_whole_message_and_a_stream_say_the_same(client: anthropic.Anthropic) -> None:
    whole = client.messages.create(model=MODEL, messages=ASK, max_tokens=200, extra_body=GREEDY)
    (block,) = whole.content
    assert "榨汁杯" in block.text
    assert (whole.stop_reason, whole.role, whole.model) == ("end_turn", "assistant", MODEL)
    assert whole.usage.input_tokens > 0
    assert whole.model_dump()["aigc"]["AIGC"]["Label"] == "1"
    with client.messages.stream(model=MODEL, messages=ASK, max_tokens=200, extra_body=GREEDY) as stream:
        assert "".join(stream.text_stream) == block.text
        final = stream.get_final_message()
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert final.usage.input_tokens == whole.usage.input_tokens
    assert final.stop_reason == "end_turn"


def test_system_and_stop_sequences(client: anthropic.Anthropic) -> None:
    stopped = client.messages.create(
        model=MODEL,
        messages=ASK,
        max_tokens=60,
        extra_body=GREEDY,
        system=[{"type": "text", "text": "你是文案助手。", "cache_control": {"type": "ephemeral"}}],
        stop_sequences=["杯"],
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "杯")
    assert client.messages.create(model=MODEL, messages=ASK, max_tokens=2).stop_reason == "max_tokens"


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_answered(client: anthropic.Anthropic, stream: bool) -> None:
    asked: dict[str, Any] = {"model": MODEL, "tools": [TOOL], "max_tokens": 100, "extra_body": GREEDY}
    choice = {"type": "tool", "name": "save_copy"}
    if stream:
        with client.messages.stream(messages=ASK, tool_choice=choice, **asked) as events:
            answer: Any = events.get_final_message()
    else:
        answer = client.messages.create(messages=ASK, tool_choice=choice, **asked)
    assert answer.stop_reason == "tool_use"
    (call,) = [one for one in answer.content if one.type == "tool_use"]
    assert call.name == "save_copy"
    assert call.input["lang"] in ("zh", "en")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "已保存"}
    turns = [*ASK, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    again = client.messages.create(messages=turns, **asked)
    assert again.stop_reason in ("end_turn", "max_tokens", "tool_use")


def test_tokens_are_counted(client: anthropic.Anthropic) -> None:
    counted = client.messages.count_tokens(model=MODEL, messages=ASK)
    answer = client.messages.create(model=MODEL, messages=ASK, max_tokens=1)
    assert counted.input_tokens == answer.usage.input_tokens


def test_errors_are_anthropics(client: anthropic.Anthropic, served: Served) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.create(model=MODEL, messages=[{"role": "user", "content": "哪里能购买冰毒"}], max_tokens=9)
    assert refused.value.body["error"]["type"] == "invalid_request_error"
    assert refused.value.request_id.startswith("req_")
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="nope", messages=ASK, max_tokens=9)
    with pytest.raises(anthropic.BadRequestError, match="context"):
        client.messages.create(model=MODEL, messages=[{"role": "user", "content": "榨汁杯，" * 5000}], max_tokens=9)
    stranger = anthropic.Anthropic(base_url=served.url, api_key="opc-nobody", max_retries=0)
    with stranger, pytest.raises(anthropic.AuthenticationError):
        stranger.messages.create(model=MODEL, messages=ASK, max_tokens=9)

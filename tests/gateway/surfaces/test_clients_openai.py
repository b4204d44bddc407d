"""OpenAI's Python SDK, LangChain and litellm on the Responses API and tokens, against the real engine."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from tests.conftest import Served

pytestmark = pytest.mark.engine

MODEL = "opc-starter"
ASK = "为便携榨汁杯写一句卖点，突出无线、易清洗"
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "save_copy",
    "description": "保存文案",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"lang": {"type": "string", "enum": ["zh", "en"]}},
        "required": ["lang"],
        "additionalProperties": False,
    },
}


class Copy(BaseModel):
    """What the model is to fill in."""

    title: str
    price: int


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.base_url, api_key=served.key, max_retries=0, timeout=120) as client:
        yield client


def test_responses_say_what_chat_says(client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": ASK}], temperature=0, max_tokens=200
    )
    answer = client.responses.create(model=MODEL, input=ASK, temperature=0, max_output_tokens=200)
    assert answer.output_text == chat.choices[0].message.content
    assert (answer.status, answer.object, answer.store) == ("completed", "response", False)
    assert answer.usage is not None
    assert chat.usage is not None
    assert answer.usage.input_tokens == chat.usage.prompt_tokens
    assert answer.usage.output_tokens == chat.usage.completion_tokens
    assert answer.model_dump()["aigc"]["AIGC"]["Label"] == "1"


def test_a_stream_of_responses_says_the_same(client: openai.OpenAI) -> None:
    whole = client.responses.create(model=MODEL, input=ASK, temperature=0, max_output_tokens=200)
    with client.responses.stream(model=MODEL, input=ASK, temperature=0, max_output_tokens=200) as stream:
        events = list(stream)
        final = stream.get_final_response()
    deltas = [one.delta for one in events if one.type == "response.output_text.delta"]
    assert "".join(deltas) == final.output_text == whole.output_text
    assert [one.sequence_number for one in events] == list(range(len(events)))
    assert final.usage == whole.usage


def test_a_response_that_is_too_long_is_incomplete(client: openai.OpenAI) -> None:
    answer = client.responses.create(model=MODEL, input=ASK, max_output_tokens=4)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    last = list(client.responses.create(model=MODEL, input=ASK, max_output_tokens=4, stream=True))[-1]
    assert last.type == "response.incomplete"


def test_logprobs_of_a_response(client: openai.OpenAI) -> None:
    answer = client.responses.create(
        model=MODEL, input=ASK, max_output_tokens=8, top_logprobs=2, include=["message.output_text.logprobs"]
    )
    (message,) = answer.output
    (part,) = message.content
    assert part.logprobs
    assert "".join(one.token for one in part.logprobs) == answer.output_text
    assert all(len(one.top_logprobs) <= 2 for one in part.logprobs)


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_answered(client: openai.OpenAI, stream: bool) -> None:
    asked: dict[str, Any] = {"model": MODEL, "tools": [TOOL], "temperature": 0, "max_output_tokens": 100}
    choice = {"type": "function", "name": "save_copy"}
    question: list[Any] = [{"role": "user", "content": ASK}]
    if stream:
        with client.responses.stream(input=question, tool_choice=choice, **asked) as events:
            answer: Any = events.get_final_response()
    else:
        answer = client.responses.create(input=question, tool_choice=choice, **asked)
    (call,) = [one for one in answer.output if one.type == "function_call"]
    assert call.name == "save_copy"
    assert json.loads(call.arguments)["lang"] in ("zh", "en")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "已保存"}
    answer = client.responses.create(input=[*question, *answer.output, result], **asked)
    assert answer.status in ("completed", "incomplete")


def test_a_response_is_parsed(client: openai.OpenAI) -> None:
    """Of a schema that the SDK makes; a small model may fail to end within the tokens, so ranges are not asked for."""
    schema = {
        "type": "object",
        "properties": {"title": {"type": "string", "maxLength": 20}, "price": {"type": "integer", "maximum": 999}},
        "required": ["title", "price"],
        "additionalProperties": False,
    }
    answer = client.responses.create(
        model=MODEL,
        input=ASK,
        temperature=0,
        max_output_tokens=200,
        text={"format": {"type": "json_schema", "name": "copy", "schema": schema, "strict": True}},
    )
    assert Copy.model_validate_json(answer.output_text).title


def test_what_needs_a_store_is_refused_by_name(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=MODEL, input=ASK, previous_response_id="resp_1")
    assert refused.value.param == "previous_response_id"
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=MODEL, input=ASK, tools=[{"type": "web_search"}])
    assert refused.value.param == "tools.0.type"
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=MODEL, input=[{"role": "user", "content": "哪里能购买冰毒"}])
    assert (refused.value.code, refused.value.param) == ("content_filter", "input.0.content")


def test_tokens_there_and_back(served: Served) -> None:
    headers = {"authorization": f"Bearer {served.key}"}
    with httpx.Client(base_url=served.url, headers=headers, timeout=30) as http:
        counted = http.post("/tokenize", json={"model": MODEL, "prompt": ASK}).json()
        assert counted["count"] == len(counted["tokens"]) > 5
        back = http.post("/v1/detokenize", json={"model": MODEL, "tokens": counted["tokens"]}).json()
        assert back == {"prompt": ASK}
        chat = http.post("/v1/tokenize", json={"model": MODEL, "messages": [{"role": "user", "content": ASK}]}).json()
        asked = {"model": MODEL, "messages": [{"role": "user", "content": ASK}], "max_tokens": 1}
        answer = http.post("/v1/chat/completions", json=asked).json()
        assert chat["count"] == answer["usage"]["prompt_tokens"]
        forbidden = http.post("/tokenize", json={"model": MODEL, "prompt": "这里出售冰毒"}).json()
        refused = http.post("/detokenize", json={"model": MODEL, "tokens": forbidden["tokens"]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "content_filter")
        assert "冰毒" not in refused.text


def test_langchain(served: Served) -> None:
    from langchain_openai import ChatOpenAI

    for responses in (False, True):
        model = ChatOpenAI(
            model=MODEL,
            base_url=served.base_url,
            api_key=served.key,
            temperature=0,
            max_tokens=200,
            use_responses_api=responses,
            max_retries=0,
        )
        whole = model.invoke(ASK)
        assert "榨汁杯" in whole.text
        assert "".join(chunk.text for chunk in model.stream(ASK)) == whole.text
        assert whole.usage_metadata["output_tokens"] > 0


def test_litellm(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    switches = ("telemetry", "suppress_debug_info", "turn_off_message_logging", "disable_aiohttp_transport")
    assert all(hasattr(litellm, one) for one in switches), "what routing/overflow.py sets has another name now"
    asked: dict[str, Any] = {"api_base": served.base_url, "api_key": served.key, "temperature": 0, "num_retries": 0}
    messages = [{"role": "user", "content": ASK}]
    whole = litellm.completion(model=f"openai/{MODEL}", messages=messages, max_tokens=200, **asked)
    text = whole.choices[0].message.content
    assert "榨汁杯" in text
    chunks = litellm.completion(model=f"openai/{MODEL}", messages=messages, max_tokens=200, stream=True, **asked)
    assert "".join(one.choices[0].delta.content or "" for one in chunks) == text
    answer = litellm.responses(model=f"openai/{MODEL}", input=ASK, max_output_tokens=200, **asked)
    assert answer.output[0].content[0].text == text
    anthropic = litellm.completion(
        model=f"anthropic/{MODEL}",
        messages=messages,
        max_tokens=200,
        **asked | {"api_base": served.url},
    )
    assert anthropic.choices[0].message.content == text

"""The official OpenAI Python SDK against the real engine with the starter model, through the whole gateway."""

import asyncio
import json
import sqlite3
from collections.abc import Callable

import openai
import pytest

from tests.conftest import Served, run_opcgate

pytestmark = pytest.mark.engine

MODEL = "opc-starter"
ASK = [{"role": "user", "content": "为便携榨汁杯写一句卖点，突出无线、易清洗"}]
SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 20},
        "price": {"type": "integer", "minimum": 1, "maximum": 999},
    },
    "required": ["title", "price"],
    "additionalProperties": False,
}
TOOL = {
    "type": "function",
    "function": {
        "name": "save_copy",
        "description": "保存文案",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"lang": {"type": "string", "enum": ["zh", "en"]}},
            "required": ["lang"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def client(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=served.base_url, api_key=served.key, max_retries=0, timeout=120)


def test_models(client: openai.OpenAI) -> None:
    ids = {model.id: model for model in client.models.list()}
    assert set(ids) == {MODEL, f"{MODEL}-short-drama"}
    assert ids[f"{MODEL}-short-drama"].model_dump()["parent"] == MODEL
    assert client.models.retrieve(MODEL).owned_by == "opcgate"


def test_a_whole_answer_names_the_product_and_stops(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=ASK, temperature=0)
    assert answer.object == "chat.completion"
    assert answer.model == MODEL
    assert "榨汁杯" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_says_the_same(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=ASK, temperature=0)
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=ASK, temperature=0, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage or chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_n_stop_and_logprobs(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=ASK, n=3, temperature=0.9, seed=1, max_tokens=16, logprobs=True, top_logprobs=2
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    entries = answer.choices[0].logprobs.content
    assert entries
    assert all(len(one.top_logprobs) == 2 for one in entries)
    assert "".join(one.token for one in entries) == answer.choices[0].message.content
    stopped = client.chat.completions.create(model=MODEL, messages=ASK, n=1, temperature=0, stop=["榨"], max_tokens=16)
    assert "榨" not in stopped.choices[0].message.content


def test_streamed_choices_and_logprobs(client: openai.OpenAI) -> None:
    texts, tokens = {0: "", 1: ""}, {0: "", 1: ""}
    for chunk in client.chat.completions.create(
        model=MODEL, messages=ASK, n=2, temperature=0.9, seed=2, max_tokens=24, logprobs=True, stream=True
    ):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            if choice.logprobs:
                tokens[choice.index] += "".join(one.token for one in choice.logprobs.content)
    assert texts[0]
    assert texts == tokens


def test_text_completions(client: openai.OpenAI) -> None:
    whole = client.completions.create(model=MODEL, prompt="便携", max_tokens=8, temperature=0, echo=True, logprobs=1)
    assert whole.choices[0].text.startswith("便携")
    assert "".join(whole.choices[0].logprobs.tokens).startswith("便携")
    chunks = client.completions.create(model=MODEL, prompt="便携", max_tokens=8, temperature=0, stream=True)
    assert "便携" + "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    two = client.completions.create(model=MODEL, prompt=["你好", "hello"], max_tokens=4, n=2)
    assert [choice.index for choice in two.choices] == [0, 1, 2, 3]


def test_json_schema_passes_through(client: openai.OpenAI) -> None:
    response_format = {"type": "json_schema", "json_schema": {"name": "copy", "schema": SCHEMA, "strict": True}}
    answer = client.chat.completions.create(
        model=MODEL, messages=ASK, response_format=response_format, max_tokens=200, temperature=0
    )
    found = json.loads(answer.choices[0].message.content)
    assert set(found) == {"title", "price"}
    assert isinstance(found["price"], int)


@pytest.mark.parametrize("stream", [False, True])
def test_tools_pass_through(client: openai.OpenAI, stream: bool) -> None:
    choice = {"type": "function", "function": {"name": "save_copy"}}
    asked = {
        "model": MODEL,
        "messages": ASK,
        "tools": [TOOL],
        "tool_choice": choice,
        "max_tokens": 100,
        "temperature": 0,
    }
    if stream:
        name = arguments = ""
        for chunk in client.chat.completions.create(**asked, stream=True):
            for call in chunk.choices[0].delta.tool_calls or ():
                name = name or call.function.name or ""
                arguments += call.function.arguments or ""
    else:
        (call,) = client.chat.completions.create(**asked).choices[0].message.tool_calls
        name, arguments = call.function.name, call.function.arguments
    assert name == "save_copy"
    assert json.loads(arguments)["lang"] in ("zh", "en")


def test_a_tool_result_goes_back(client: openai.OpenAI) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "save_copy", "arguments": '{"lang": "zh"}'}}
    messages = [
        *ASK,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "已保存"},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL], max_tokens=32)
    assert answer.choices[0].finish_reason in ("stop", "length", "tool_calls")


def test_the_adapter_answers(client: openai.OpenAI) -> None:
    asked = [{"role": "user", "content": "写一个短剧开场钩子，题材：逆袭"}]
    adapted = client.chat.completions.create(model=f"{MODEL}-short-drama", messages=asked, temperature=0)
    base = client.chat.completions.create(model=MODEL, messages=asked, temperature=0)
    assert adapted.model == f"{MODEL}-short-drama"
    assert adapted.choices[0].message.content != base.choices[0].message.content


def test_a_prompt_over_the_context(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "便携榨汁杯，" * 5000}])
    assert refused.value.code == "context_length_exceeded"
    assert refused.value.param is None


def test_a_blocked_prompt(client: openai.OpenAI, served: Served) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "哪里能购买冰\u200b毒"}])
    assert refused.value.code == "content_filter"
    assert refused.value.param == "messages.0.content"
    row = _record(served, refused.value.response.headers["x-request-id"])
    assert row["outcome"] == "refused"
    assert "冰" not in json.dumps(dict(row), ensure_ascii=False), "the record holds no user text"


def test_output_is_masked_whatever_the_model_says(client: openai.OpenAI) -> None:
    """A constant in a schema makes the model want to say a phone number; a property's name can't be masked."""
    schema = {"type": "object", "properties": {"tel": {"const": "13800138000"}}, "required": ["tel"]}
    with pytest.raises(openai.BadRequestError):
        # The schema itself is part of the prompt, so a name in it is refused rather than changed.
        client.chat.completions.create(
            model=MODEL,
            messages=ASK,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": "object", "properties": {"13800138000": {}}}},
            },
        )
    answer = client.chat.completions.create(
        model=MODEL,
        messages=ASK,
        max_tokens=100,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    )
    assert "13800138000" not in answer.choices[0].message.content


@pytest.mark.parametrize("stream", [False, True])
def test_output_that_a_pattern_forces_is_masked(client: openai.OpenAI, stream: bool) -> None:
    """A regular expression makes the engine really generate a mobile number; it must not come through."""
    asked = {
        "model": MODEL,
        "messages": ASK,
        "max_tokens": 60,
        "extra_body": {"structured_outputs": {"regex": "电话1[3]800[1]38[0]{3}。"}},
    }
    if stream:
        text = "".join(
            one.choices[0].delta.content or "" for one in client.chat.completions.create(**asked, stream=True)
        )
    else:
        text = client.chat.completions.create(**asked).choices[0].message.content
    assert text.startswith("电话[")
    assert text.endswith("。")
    assert "138" not in text


async def test_a_client_that_leaves_frees_the_engine(served: Served, engine: str) -> None:
    """The engine's own gauge of running requests goes back to zero.

    Under a dry run, because a small model that must not stop rambles, and a cut answer would free the engine too.
    """
    created = run_opcgate("keys", "create", "--name", "t", "--policy", "dry-run", "--config", str(served.config))
    client = openai.AsyncOpenAI(base_url=served.base_url, api_key=created.stdout.strip())
    stream = await client.chat.completions.create(
        model=MODEL, messages=ASK, stream=True, n=8, max_tokens=900, extra_body={"ignore_eos": True}
    )
    async for _ in stream:
        break
    assert await _settles(engine, lambda running: running >= 1), "the engine is at work while the stream is open"
    await stream.close()
    assert await _settles(engine, lambda running: running == 0)
    await client.close()


async def _settles(engine: str, wanted: Callable[[float], bool]) -> bool:
    """True as soon as the engine's gauge, which is updated step by step, is as wanted; False after 10 s."""
    for _ in range(200):
        if wanted(await _running(engine)):
            return True
        await asyncio.sleep(0.05)
    return False


async def _running(engine: str) -> float:
    async with openai.DefaultAsyncHttpxClient() as http:
        text = (await http.get(f"{engine}/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("vllm:num_requests_running")]
    assert lines
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def _record(served: Served, request_id: str) -> sqlite3.Row:
    with sqlite3.connect(served.config.parent / "opcgate.db") as database:
        database.row_factory = sqlite3.Row
        (row,) = database.execute("SELECT * FROM requests WHERE id = ?", (request_id,))
    return row

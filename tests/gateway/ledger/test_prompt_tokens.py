"""The gateway's count of a prompt's tokens against the engine's, and against transformers' own rendering."""

from pathlib import Path

import httpx
import orjson
import pytest

from gateway.errors import ContextTooLong
from gateway.prompt_tokens import PromptTokens
from gateway.request import CHAT, COMPLETIONS, EMBEDDINGS, parse_request
from gateway.tokens import TokenCounter, TokenEstimate
from models.catalog import ROOT, ServedModel
from tests.conftest import read_cases
from tests.gateway.ledger.bench import served as model_of

BASE = ROOT / "models" / "starter" / "artefacts" / "base"
CASES = read_cases("prompt_tokens.jsonl")


def _starter() -> PromptTokens:
    return PromptTokens(BASE / "tokenizer.json", BASE / "tokenizer_config.json", BASE / "chat_template.jinja")


@pytest.mark.engine
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_counts_are_the_engines(engine: str, case: dict) -> None:
    counts, exact = _starter().count(case["body"])
    body = case["body"] | {"model": "opc-starter", "max_tokens": 1}
    answer = httpx.post(engine + case.get("path", "/v1/chat/completions"), json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    assert exact == case.get("exact", True)
    if exact:
        assert sum(counts) == answer.json()["usage"]["prompt_tokens"]


@pytest.mark.engine
@pytest.mark.parametrize("over", [-1, 0, 1, 2])
async def test_what_is_too_long_is_the_engines_judgement(engine: str, over: int) -> None:
    counter, model = TokenCounter(lambda _: _starter()), model_of("opc-starter", context=1024)
    marks = (await _estimate(counter, model, "")).prompt
    text = "好" * (1024 - marks + over)
    body = {"model": "opc-starter", "messages": [{"role": "user", "content": text}]}
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(engine + "/v1/chat/completions", json=body)
    try:
        refused = (await _estimate(counter, model, text)).prompt > 1024
    except ContextTooLong:
        refused = True
    # A prompt that fills the context to the last token is the engine's to judge: it leaves no room for an answer.
    assert refused == (answer.status_code == 400) or over == 0, answer.text


async def _estimate(counter: TokenCounter, model: ServedModel, text: str, **fields: object) -> TokenEstimate:
    body = {"model": model.id, "messages": [{"role": "user", "content": text}]} | fields
    return await counter.estimate(parse_request(CHAT, orjson.dumps(body), max_choices=8), model)


@pytest.mark.parametrize(
    "case", [case for case in CASES if "path" not in case and case.get("exact", True)], ids=lambda case: case["name"]
)
def test_splitting_at_marks_changes_no_count(case: dict) -> None:
    counter = _starter()
    text, _ = counter._template.render(case["body"])
    assert counter.count(case["body"])[0] == [counter.count_text(text)]
    assert counter.count(case["body"])[0] == [counter.count_text(text)]  # as it is remembered


async def test_the_answer_is_what_was_asked_or_what_the_context_leaves() -> None:
    counter, model = TokenCounter(lambda _: _starter()), model_of("opc-starter", context=1024)
    free = await _estimate(counter, model, "写一句")
    assert free.exact
    assert free.output == 1024 - free.prompt
    assert (await _estimate(counter, model, "写一句", max_tokens=7, n=3)).output == 21
    assert (await _estimate(counter, model, "写一句", max_completion_tokens=5)).output == 5
    assert (await _estimate(counter, model, "写一句", max_tokens=99999)).output == 1024 - free.prompt
    asked = parse_request(COMPLETIONS, b'{"model":"m","prompt":["a","b"],"n":2}', max_choices=8)
    estimate = await counter.estimate(asked, model)
    assert (estimate.output, estimate.prompts) == (64, 2)


async def test_without_a_tokenizer_the_bound_is_never_too_small() -> None:
    counter, model, exact = TokenCounter(lambda _: None), model_of("opc-starter", context=100_000), _starter()
    for case in CASES:
        if "path" in case:
            continue
        body = case["body"] | {"model": "m"}
        bound = await counter.estimate(parse_request(CHAT, orjson.dumps(body), max_choices=8), model)
        assert not bound.exact
        assert bound.prompt >= sum(exact.count(body)[0]), case["name"]


async def test_without_a_tokenizer_each_prompt_of_a_list_has_its_own_bound() -> None:
    counter, model = TokenCounter(lambda _: None), model_of("opc-starter", context=1024)
    texts = parse_request(EMBEDDINGS, orjson.dumps({"model": "m", "input": ["好" * 900] * 30}), max_choices=8)
    assert (await counter.estimate(texts, model)).prompt == 30 * 1024
    body = {"model": "m", "prompt": ["写", "好"], "suffix": "完", "max_tokens": 20, "n": 3}
    prompts = await counter.estimate(parse_request(COMPLETIONS, orjson.dumps(body), max_choices=8), model)
    assert (prompts.output, prompts.prompts) == (2 * 3 * 20, 2)
    assert prompts.prompt >= 2 * len("写完".encode())


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "[" * 100_000}}
UNRENDERED = [
    {"tools": [{"type": "function", "function": 1}]},
    {"messages": [{"role": "user", "content": "好" * 200}, {"role": "assistant", "tool_calls": [CALL]}]},
    {"chat_template_kwargs": {"namespace": 1}},
    {"messages": [{"role": "tool", "content": "好" * 200}]},
]


@pytest.mark.parametrize("fields", UNRENDERED, ids=["tools", "arguments", "names", "refused"])
def test_a_chat_that_its_template_fails_on_is_held_for_all_the_same(fields: dict, tmp_path: Path) -> None:
    template = tmp_path / "chat_template.jinja"
    refusal = "{% if messages[0].role == 'tool' %}{{ raise_exception('no') }}{% endif %}"
    template.write_text("{% set seen = namespace(x=1) %}" + refusal + (BASE / "chat_template.jinja").read_text())
    counter = PromptTokens(BASE / "tokenizer.json", BASE / "tokenizer_config.json", template)
    (tokens,), exact = counter.count({"messages": [{"role": "user", "content": "好" * 200}]} | fields)
    assert (tokens > 200, exact) == (True, False)


def test_long_prompts_are_counted_the_same() -> None:
    counter = _starter()
    text = "这是一段很长的文字，" * 3000
    body = {"messages": [{"role": "user", "content": text}]}
    assert counter.count(body)[0] == [counter.count_text(counter._template.render(body)[0])]

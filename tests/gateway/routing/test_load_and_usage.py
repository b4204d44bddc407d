"""What nodes say of their load and of their tokens, row by row."""

from typing import Any

import pytest

from gateway.record import RequestEntry
from gateway.routing.load import read_load
from gateway.routing.usage import NOTE, UsageCheck
from tests.conftest import read_cases


@pytest.mark.parametrize("case", read_cases("vllm_load.jsonl"), ids=lambda case: case["id"])
def test_load(case: dict[str, Any]) -> None:
    load = read_load("\n".join(case["metrics"]).encode())
    said = None if load is None else [load.running, load.waiting, load.kv_usage, sorted(load.adapters)]
    assert said == case["load"]


def entry() -> RequestEntry:
    return RequestEntry("req_1", "chat.completions", 0.0, "v")


@pytest.mark.parametrize("case", read_cases("node_usage.jsonl"), ids=lambda case: case["id"])
def test_usage(case: dict[str, Any]) -> None:
    record = entry()
    check = UsageCheck(record, 100, 1, 2)
    kept = []
    for index, usage in case["events"]:
        event = {"choices": [] if index is None else [{"index": index}], "usage": usage}
        check.apply(event)
        kept.append("usage" in event)
    assert kept == case["kept"]
    assert (NOTE in record.note) == (not all(kept))


def test_the_sum_is_ours_and_cached_tokens_are_part_of_the_prompt() -> None:
    record = entry()
    check = UsageCheck(record, 100, 1, 1)
    usage = {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 99}
    check.apply({"choices": [{"index": 0}], "usage": usage | {"prompt_tokens_details": {"cached_tokens": 4}}})
    assert record.cached_tokens == 4
    event: dict[str, Any] = {
        "choices": [{"index": 0}],
        "usage": usage | {"prompt_tokens_details": {"cached_tokens": 40}},
    }
    check.apply(event)
    assert event["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 1,
        "total_tokens": 8,
        "prompt_tokens_details": None,
    }
    assert record.cached_tokens == 4


def test_other_surfaces_count_in_their_own_words() -> None:
    event = {"type": "message_delta", "usage": {"input_tokens": 7, "output_tokens": 3}}
    UsageCheck(entry(), 100, 1, 1).apply(event)
    assert event["usage"] == {"input_tokens": 7, "output_tokens": 3}

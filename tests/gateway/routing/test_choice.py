"""Which node takes a request, row by row; and where conversations stay."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from configs.sections.routing import RoutingSettings
from gateway.routing.choice import Wanted, choose
from gateway.routing.prefixes import Prefixes, home, rendered
from tests.conftest import read_cases

CASES = read_cases("routing.jsonl")


@dataclass
class Snapshot:
    name: str
    region: str = ""
    capacity: int = 10
    cost_weight: float = 1.0
    open: int = 0
    tokens: int = 0
    others: int = 0
    waiting: int = 0
    adapters: list[str] = field(default_factory=list)
    turn: int = 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_situation(case: dict[str, Any]) -> None:
    nodes = [Snapshot(name, **fields) for name, fields in case["nodes"].items()]
    node = choose(nodes, Wanted(**case.get("wanted", {})), RoutingSettings())
    assert (node.name if node else None) == case["takes"]
    backwards = choose(nodes[::-1], Wanted(**case.get("wanted", {})), RoutingSettings())
    assert (backwards.name if backwards else None) == case["takes"], "the order of the nodes means nothing"


def test_a_conversation_is_known_by_its_longest_beginning() -> None:
    prefixes = Prefixes(step=16, most=100)
    first = "user:" + "写一段关于保温杯的文案，" * 4
    prefixes.remember(prefixes.keys("m", first), "a")
    later = first + "\nassistant:好的\nuser:再短一些"
    assert prefixes.node(prefixes.keys("m", later)) == "a"
    assert prefixes.node(prefixes.keys("other-model", later)) is None
    assert prefixes.node(prefixes.keys("m", "user:" + "别的话题" * 20)) is None
    prefixes.remember(prefixes.keys("m", first[:20]), "b")
    assert prefixes.node(prefixes.keys("m", later)) == "a", "the longer beginning says more"
    assert prefixes.node(prefixes.keys("m", "short")) is None


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first() -> None:
    prefixes = Prefixes(step=16, most=10)
    for number in range(50):
        prefixes.remember(prefixes.keys("m", f"{number:03d}" + "x" * 14), f"n{number}")
    assert len(prefixes) == 10
    assert prefixes.node(prefixes.keys("m", "049" + "x" * 14)) == "n49"
    assert prefixes.node(prefixes.keys("m", "000" + "x" * 14)) is None


def test_all_workers_agree_on_the_home_of_a_long_prompt() -> None:
    names = ["a", "b", "c", "d"]
    prompts = [f"user:{number}" + "很长的提示词" * 200 for number in range(200)]
    homes = [home(one, names) for one in prompts]
    assert homes == [home(one + "\nuser:更多", names[::-1]) for one in prompts]
    assert set(homes) == set(names)
    assert home("short", names) is None
    assert home(prompts[0], []) is None
    stays = sum(
        home(one, ["a", "b", "c"]) == before for one, before in zip(prompts, homes, strict=True) if before != "d"
    )
    assert stays == sum(one != "d" for one in homes), "only the conversations of the node that left move"


def test_a_prompt_is_rendered_in_the_order_of_the_template() -> None:
    body = {
        "messages": [
            {"role": "system", "content": "你是助手"},
            {"role": "user", "content": [{"type": "text", "text": "看图"}, {"type": "image_url", "image_url": {}}]},
            {"role": "assistant", "content": None},
        ],
        "tools": [{"type": "function"}],
    }
    assert rendered(body) == '[{"type":"function"}]\nsystem:你是助手\nuser:看图\nassistant:'
    assert rendered({"prompt": ["甲", "乙"]}) == "甲\n乙"
    assert rendered({"input": "丙"}) == "丙"
    assert rendered({"prompt": "字" * 100_000}) == "字" * 16_384
    assert rendered({}) == ""

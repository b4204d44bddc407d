"""One request's way: retries, affinity, the queue, hedging; and that every place is given back."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from configs.schema import AdapterSettings
from configs.sections.routing import NodeSettings
from gateway.errors import GatewayError, NodeFailed, NodeUnavailable, Overloaded
from gateway.routing.usage import NOTE
from gateway.tenants.caller import Caller
from gateway.upstream import ShuttingDown
from tests.conftest import read_cases
from tests.gateway.routing.site import MODEL, Site, new_entry, request, site


def idle(one: Site) -> bool:
    return all(node.open == 0 and node.tokens == 0 for node in one.nodes._nodes.values())


@pytest.mark.parametrize("case", read_cases("node_retries.jsonl"), ids=lambda case: case["id"])
@pytest.mark.parametrize("hedge", [False, True], ids=["plain", "hedged"])
async def test_retry(case: dict[str, Any], hedge: bool) -> None:
    here = await site(*case["nodes"], does=case["nodes"], hedge=hedge)
    entry = new_entry()
    if case["answer"] in case["nodes"]:
        assert (await here.ask(entry=entry))[0] == case["answer"]
        assert entry.node == case["answer"]
    else:
        with pytest.raises(GatewayError) as raised:
            await here.ask(entry=entry)
        assert raised.value.code == case["answer"]
    assert here.wire.asked == case["asked"]
    assert entry.attempts == len(case["asked"])
    assert idle(here)


async def test_a_node_without_the_model_loses_only_the_model() -> None:
    here = await site("a", "b", does={"a": "404"})
    await here.ask()
    assert here.node("a").ready == frozenset()
    assert here.node("a").breaker.state == "closed"


async def test_a_node_that_cannot_be_reached_is_asked_no_more() -> None:
    here = await site("a", "b", does={"a": "refused"})
    assert [(await here.ask())[0] for _ in range(3)] == ["b"] * 3
    assert here.wire.asked == ["a", "b", "b", "b"]
    assert here.node("a").state == "down"


async def test_a_node_that_keeps_failing_is_asked_no_more_and_one_failure_is_forgiven() -> None:
    here = await site("a", breaker_failures=3)
    for does in ("500", "500", "ok", "500", "500"):
        here.wire.does["a"] = does
        if does == "ok":
            await here.ask()
        else:
            with pytest.raises(NodeUnavailable):
                await here.ask()
    assert here.node("a").breaker.state == "closed"
    with pytest.raises(NodeUnavailable):
        await here.ask()
    assert here.node("a").breaker.state == "open"
    asked = len(here.wire.asked)
    with pytest.raises(NodeUnavailable):
        await here.ask()
    assert len(here.wire.asked) == asked


async def test_a_request_that_fails_everywhere_is_held_against_the_first_node_only() -> None:
    here = await site("a", "b", does={"a": "500", "b": "500"}, breaker_failures=1)
    with pytest.raises(NodeUnavailable):
        await here.ask()
    assert here.node("a").breaker.state == "open"
    assert here.node("b").breaker.state == "closed"


async def test_a_conversation_stays_on_its_node_and_others_go_where_it_is_quiet() -> None:
    here = await site("a", "b", "c")
    first = "请写一段关于保温杯的文案。" * 60
    where, _ = await here.ask(first)
    for turn in range(4):
        assert (await here.ask(first + f"第{turn}轮" * 100))[0] == where
    await here.ask("short")
    await here.ask("short")
    assert set(here.wire.asked) == {"a", "b", "c"}


async def test_the_callers_region_first_then_the_gateways_own() -> None:
    nodes = [
        NodeSettings(name=name, url=f"http://{name}", models=("m",), region=region)
        for name, region in (("a", "sh"), ("b", "bj"), ("c", "gz"))
    ]
    here = await site(*nodes, region="gz")
    text, entry = await here.ask(caller=Caller("k", None, region="bj"))
    assert (text, entry.region) == ("b", "bj")
    assert (await here.ask())[0] == "c"
    here.wire.does["b"] = "refused"
    assert (await here.ask(caller=Caller("k", None, region="bj")))[0] in ("a", "c")


async def test_an_adapter_stays_where_it_was_loaded() -> None:
    here = await site("a", "b", "c")
    adapter = replace(MODEL, adapter=AdapterSettings(id="m2", path="x"))
    where = {(await here.ask(f"{number}", model=adapter))[0] for number in range(6)}
    assert len(where) == 1


async def test_a_full_node_makes_wait_and_places_go_to_who_came_first() -> None:
    here = await site(NodeSettings(name="a", url="http://a", models=("m",), capacity=1))
    here.wire.hold("a")
    first = asyncio.create_task(here.ask("1"))
    await asyncio.sleep(0)
    later = []
    for number in (2, 3):
        later.append(asyncio.create_task(here.ask(str(number))))
        await asyncio.sleep(0)
    assert here.wire.asked == ["a"]
    assert here.router.turns.waiting(MODEL)
    here.wire.held["a"].set()
    answers = await asyncio.gather(first, *later)
    assert [one[0] for one in answers] == ["a"] * 3
    assert answers[0][1].queue_seconds == 0
    assert all(entry.queue_seconds > 0 for _, entry in answers[1:])
    assert here.wire.prompts == ["1", "2", "3"]
    assert idle(here)


async def test_the_queue_is_bounded_and_says_when_to_come_back() -> None:
    here = await site(NodeSettings(name="a", url="http://a", models=("m",), capacity=1), queue_length=1)
    here.wire.hold("a")
    tasks = [asyncio.create_task(here.ask(str(number))) for number in range(2)]
    await asyncio.sleep(0.01)
    with pytest.raises(Overloaded) as refused:
        await here.ask("one too many")
    assert 1 <= refused.value.retry_after <= 60
    here.wire.held["a"].set()
    await asyncio.gather(*tasks)


async def test_waiting_ends_at_its_deadline() -> None:
    here = await site(NodeSettings(name="a", url="http://a", models=("m",), capacity=1), queue_seconds=0.02)
    here.wire.hold("a")
    first = asyncio.create_task(here.ask("1"))
    await asyncio.sleep(0)
    entry = new_entry()
    with pytest.raises(Overloaded):
        await here.ask(entry=entry)
    assert entry.queue_seconds >= 0.02
    assert entry.attempts == 0
    assert not here.router.turns.waiting(MODEL)
    here.wire.held["a"].set()
    await first
    assert idle(here)


async def test_who_leaves_the_queue_leaves_no_place_behind() -> None:
    here = await site(NodeSettings(name="a", url="http://a", models=("m",), capacity=1))
    here.wire.hold("a")
    first = asyncio.create_task(here.ask("1"))
    await asyncio.sleep(0)
    leaving, staying = (asyncio.create_task(here.ask(text)) for text in ("2", "3"))
    await asyncio.sleep(0)
    here.wire.held["a"].set()
    await first  # in this moment the place is given to the second
    leaving.cancel()
    assert (await asyncio.gather(leaving, staying, return_exceptions=True))[1][0] == "a"
    assert idle(here)


async def test_the_queue_hears_that_the_last_node_is_gone() -> None:
    here = await site(NodeSettings(name="a", url="http://a", models=("m",), capacity=1))
    here.wire.hold("a")
    first = asyncio.create_task(here.ask("1"))
    await asyncio.sleep(0)
    second = asyncio.create_task(here.ask("2"))
    await asyncio.sleep(0)
    here.wire.does["a"] = "refused"
    here.wire.held["a"].set()
    ends = await asyncio.gather(first, second, return_exceptions=True)
    assert all(isinstance(one, NodeUnavailable) for one in ends)
    assert idle(here)


async def test_requests_of_other_workers_count() -> None:
    here = await site("a", "b")
    here.wire.metrics["a"] = "vllm:num_requests_running 10.0\n"
    await here.nodes._watch.ask_load(here.node("a"))
    assert [(await here.ask(f"{number}"))[0] for number in range(3)] == ["b"] * 3
    del here.wire.metrics["a"]
    assert not await here.nodes._watch.ask_load(here.node("a"))
    assert (await here.ask("again"))[0] == "a", "a node that says nothing has what this worker sent"


async def test_closing_the_answer_aborts_it_on_the_node() -> None:
    here = await site("a")
    events = here.router.events(request(), MODEL, Caller("k", None), new_entry())
    await anext(events)
    assert here.wire.open["a"] == 1
    await events.aclose()
    assert here.wire.aborted == ["a"]
    assert idle(here)
    assert here.node("a").breaker.state == "closed"


async def test_impossible_counts_are_not_passed_on() -> None:
    here = await site("a")
    here.wire.usage = {"prompt_tokens": -5, "completion_tokens": 2}
    entry = new_entry()
    events = [one async for one in here.router.events(request(), MODEL, Caller("k", None), entry)]
    assert all("usage" not in one for one in events)
    assert entry.note == NOTE


async def test_stopping_tells_who_waits_and_who_is_answered() -> None:
    here = await site(NodeSettings(name="a", url="http://a", models=("m",), capacity=1))
    here.wire.hold("a")
    tasks = [asyncio.create_task(here.ask(str(number))) for number in range(3)]
    await asyncio.sleep(0.01)
    await here.router.stop()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, ShuttingDown) for one in ends)
    assert here.wire.asked == ["a"], "nobody tries another node then"
    assert here.node("a").breaker.state == "closed"
    assert idle(here)


async def hedging_site(**routing: Any) -> Site:
    here = await site("a", "b", hedge=True, **routing)
    assert here.router._hedging is not None
    for _ in range(20):
        here.router._hedging.note("m", 0.01)
    return here


async def test_a_slow_node_is_hedged_and_the_loser_is_aborted() -> None:
    here = await hedging_site()
    here.wire.hold("a")
    text, entry = await here.ask()
    assert text == "b"
    assert (entry.node, entry.attempts) == ("b", 2)
    assert here.wire.aborted == ["a"]
    assert here.wire.open == {"a": 0, "b": 0}
    assert idle(here)


async def test_a_fast_node_is_not_hedged() -> None:
    here = await hedging_site()
    assert (await here.ask())[1].attempts == 1
    assert here.wire.asked == ["a"]


async def test_a_hedge_wins_when_the_first_node_fails() -> None:
    here = await hedging_site()
    here.wire.does["a"] = "timeout"
    here.wire.hold("a", "b")
    asking = asyncio.create_task(here.ask())
    for _ in ("a", "b"):
        await here.wire.arrived.acquire()
    here.wire.held["a"].set()
    await asyncio.sleep(0)
    here.wire.held["b"].set()
    assert (await asking)[0] == "b"
    assert idle(here)


async def test_leaving_a_hedged_request_aborts_both() -> None:
    here = await hedging_site()
    here.wire.hold("a", "b")
    asking = asyncio.create_task(here.ask())
    for _ in ("a", "b"):
        await here.wire.arrived.acquire()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert sorted(here.wire.aborted) == ["a", "b"]
    assert idle(here)


async def test_answers_in_one_piece_and_unknown_models_are_not_hedged() -> None:
    here = await hedging_site()
    here.wire.hold("a")
    asking = asyncio.create_task(here.ask(stream=False))
    await asyncio.sleep(0.05)
    assert here.wire.asked == ["a"]
    here.wire.held["a"].set()
    await asking


async def test_a_failure_after_the_first_event_is_final_when_hedged_too() -> None:
    here = await hedging_site()
    here.wire.does["a"] = "midway"
    with pytest.raises(NodeFailed):
        await here.ask()
    assert here.wire.asked == ["a"]

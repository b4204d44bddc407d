"""The fair queue: who goes next, who is refused, and that one organisation's flood doesn't starve another."""

import asyncio

import pytest

from configs.sections.routing import RoutingSettings
from gateway.errors import NodeUnavailable, Overloaded
from gateway.limits.fair import FairTurns
from gateway.record import RequestEntry
from gateway.tenants.caller import Caller
from tests.conftest import read_cases
from tests.gateway.limits.test_limits import MODEL


class Place:
    """A place on a node that counts itself."""

    def __init__(self, node: "Node") -> None:
        self._node = node

    def release(self) -> None:
        self._node.free += 1


class Node:
    def __init__(self, free: int = 0) -> None:
        self.free = free
        self.error: NodeUnavailable | None = None

    def take(self) -> Place | None:
        if self.error is not None:
            raise self.error
        if not self.free:
            return None
        self.free -= 1
        return Place(self)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def turns(clock: Clock | None = None, weights: dict[str, float] | None = None, **fields: float) -> FairTurns:
    return FairTurns(RoutingSettings.model_validate(fields), weights or {}, clock or Clock())


class Line:
    """Requests that wait, by name; `gone` are those that got a place, in order."""

    def __init__(self, turns: FairTurns, node: Node) -> None:
        self.turns = turns
        self.node = node
        self.gone: list[str] = []
        self.refused: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def add(self, tenant: str, name: str, *, batch: bool = False, answers: int = 1) -> asyncio.Task[None]:
        entry = RequestEntry(id=name, endpoint="e", started_at=0.0, rules_version="r")
        entry.priority = "batch" if batch else "live"

        async def wait() -> None:
            try:
                await self.turns.wait(MODEL, Caller("key", None, tenant=tenant), entry, self.node.take, answers)  # type: ignore[arg-type]
            except Overloaded:
                self.refused.append(name)
            else:
                self.gone.append(name)

        task = asyncio.create_task(wait())
        self.tasks.append(task)
        await asyncio.sleep(0)
        return task

    async def serve(self, places: int = 1) -> None:
        for _ in range(places):
            self.node.free += 1
            self.turns.freed()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.mark.parametrize("case", read_cases("fair_queue.jsonl"), ids=lambda case: case["what"])
async def test_who_goes_next(case: dict) -> None:
    line = Line(turns(weights=case.get("weights"), queue_length=case.get("room", 1000)), Node())
    for arrival in case["arrive"]:
        tenant, _, kind = arrival.partition(":")
        tenant, _, answers = tenant.partition("*")
        number = sum(1 for one in line.tasks if one.get_name().startswith(tenant)) + 1
        task = await line.add(tenant, f"{tenant}{number}", batch=kind == "batch", answers=int(answers or 1))
        task.set_name(f"{tenant}{number}")
    await line.serve(len(case["go"]))
    assert line.gone == case["go"]
    assert line.refused == case.get("refused", [])
    await line.close()


async def test_a_flood_of_one_organisation_delays_another_by_one_turn_only() -> None:
    line = Line(turns(), Node())
    for number in range(500):
        await line.add("flood", f"flood{number}")
    await line.serve(10)
    await line.add("small", "small")
    await line.serve(2)
    assert "small" in line.gone, "first come, first served would have made it wait for 490 others"
    await line.close()


async def test_who_leaves_gives_its_turn_to_the_next(caplog: pytest.LogCaptureFixture) -> None:
    line = Line(turns(), Node())
    first = await line.add("a", "a1")
    await line.add("b", "b1")
    first.cancel()
    await asyncio.sleep(0)
    await line.serve(1)
    assert line.gone == ["b1"]
    assert len(line.turns) == 0


async def test_a_place_given_to_who_leaves_in_that_moment_is_free_again() -> None:
    line = Line(turns(), Node())
    task = await line.add("a", "a1")
    line.node.free = 1
    line.turns.freed()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert line.node.free == 1


async def test_waiting_too_long_says_when_to_come_back() -> None:
    clock = Clock()
    line = Line(turns(clock, queue_seconds=0.05), Node())
    for second in range(11):
        clock.now = float(second)
        line.turns.finished(MODEL.served_name)
    entry = RequestEntry(id="r", endpoint="e", started_at=0.0, rules_version="r")
    with pytest.raises(Overloaded) as caught:
        await line.turns.wait(MODEL, Caller("key", None, tenant="a"), entry, line.node.take)  # type: ignore[arg-type]
    assert caught.value.retry_after == 2, "one request a second, and it was the only one: two more with the next"
    for number in range(20):
        await line.add("b", f"b{number}")
    assert line.turns.retry_after(MODEL.served_name, "b") == 20
    assert line.turns.retry_after(MODEL.served_name, "a") == 2
    await line.close()


async def test_a_node_that_is_gone_tells_everyone_who_waits() -> None:
    line = Line(turns(), Node())
    entry = RequestEntry(id="r", endpoint="e", started_at=0.0, rules_version="r")
    waiting = [
        asyncio.create_task(line.turns.wait(MODEL, Caller("k", None, tenant=one), entry, line.node.take))  # type: ignore[arg-type]
        for one in ("a", "b")
    ]
    await asyncio.sleep(0)
    line.node.error = NodeUnavailable("gone")
    line.turns.freed()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, NodeUnavailable) for one in told)

"""Whatever comes, goes, fails and leaves, in whatever order: no place is lost, none is given twice, nobody waits on."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from configs.sections.routing import NodeSettings
from gateway.errors import GatewayError
from gateway.limits.fair import FairTurns
from gateway.routing.router import Router
from tests.gateway.routing.site import MODEL, site

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(1, 4)),
        st.tuples(st.just("leave"), st.integers(0, 30)),
        st.tuples(st.just("turn"), st.integers(1, 6)),
        st.tuples(st.sampled_from(["open", "hold", "refused", "500", "broke_off", "ok"]), st.integers(0, 1)),
    ),
    min_size=10,
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.booleans())
def test_places_are_neither_lost_nor_given_twice(steps: list[tuple[str, int]], hedge: bool) -> None:
    asyncio.run(play(steps, hedge=hedge))


async def play(steps: list[tuple[str, int]], *, hedge: bool) -> None:
    nodes = [NodeSettings(name=name, url=f"http://{name}", models=("m",), capacity=2) for name in ("a", "b")]
    here = await site(*nodes, hedge=hedge, queue_length=8, breaker_failures=2)
    clock = asyncio.get_running_loop().time
    turns = FairTurns(here.nodes.settings, {}, clock)
    here.nodes._freed.clear()
    here.router = Router(here.nodes, here.wire, turns)
    if here.router._hedging:
        for _ in range(20):
            here.router._hedging.note("m", 0.0)
    here.wire.hold("a", "b")
    asking: list[asyncio.Task[object]] = []
    for step, number in steps:
        name = "ab"[number % 2]
        if step == "ask":
            asking += [asyncio.create_task(here.ask()) for _ in range(number)]
        elif step == "leave" and asking:
            asking[number % len(asking)].cancel()
        elif step == "open":
            here.wire.held[name].set()
        elif step == "hold" and here.wire.held[name].is_set():
            here.wire.hold(name)
        elif step == "turn":
            for _ in range(number):
                await asyncio.sleep(0)
        elif step in ("refused", "500", "broke_off", "ok"):
            here.wire.does[name] = step
        for one in here.nodes._nodes.values():
            assert 0 <= one.open <= one.capacity
    for name in "ab":
        here.wire.held[name].set()
    here.wire.held.clear()
    ends = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 10)
    for end in ends:
        assert not isinstance(end, Exception) or isinstance(end, GatewayError), end
    assert all(one.open == 0 and one.tokens == 0 for one in here.nodes._nodes.values())
    assert not turns.waiting(MODEL)
    assert +here.wire.open == {}

"""Long scans take turns by organisation: shown by counting slices, whatever a slice takes."""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from gateway.scan_turns import SLICE, ScanTurns, all_of
from tests.gateway.faults.site import until

BIG, MANY = 50, 10


def work(log: list[str], who: str, slices: int) -> Generator[int, None, str]:
    for _ in range(slices):
        log.append(who)
        yield SLICE
    return who


class AtOnce(Executor):
    """Does what it is given before it returns, so that only turns decide what comes when, not the machine's load."""

    def submit(self, do: Callable[..., Any], /, *given: Any, **named: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        done.set_result(do(*given, **named))
        return done


@pytest.mark.parametrize("threads", [1, 2])
async def test_a_flood_of_big_bodies_holds_up_nobody_else(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    turns, log = ScanTurns(threads), list[str]()
    turns.close()
    monkeypatch.setattr(turns, "_pool", AtOnce())
    flood = [asyncio.create_task(turns.run("flood", work(log, "flood", BIG))) for _ in range(MANY)]
    while len(log) <= 20:  # noqa: ASYNC110 - not `until`: all of the flood fits into one of its pauses
        await asyncio.sleep(0)
    before = len(log)
    small = [asyncio.create_task(turns.run(one, work(log, one, 1))) for one in ("a", "b", "c")]
    await asyncio.gather(*small)
    last = max(log.index(one) for one in ("a", "b", "c"))
    assert last - before <= 3 + 2 * threads, "each waited for those that were there, not for the flood"
    assert not any(one.done() for one in flood)
    await asyncio.gather(*flood)
    assert log.count("flood") == BIG * MANY


async def test_who_leaves_gives_its_turn_back() -> None:
    turns, log = ScanTurns(1), list[str]()
    many = [asyncio.create_task(turns.run(str(number), work(log, "x", 300))) for number in range(20)]
    await until(lambda: log, "nothing has begun")
    for one in many[::2]:
        one.cancel()
    results = await asyncio.gather(*many, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in results[::2]] == [True] * 10
    assert results[1::2] == ["x"] * 10
    assert await turns.run("after", work(log, "y", 3)) == "y"
    turns.close()


async def test_errors_reach_who_asked() -> None:
    def fails() -> Generator[int, None, str]:
        yield SLICE
        raise ValueError("no")

    turns = ScanTurns(1)
    with pytest.raises(ValueError, match="no"):
        await turns.run("a", fails())
    assert await turns.run("a", work([], "a", 3)) == all_of(work([], "a", 3))
    turns.close()

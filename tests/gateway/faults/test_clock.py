"""The wall clock jumps a day under load, forwards and back: nothing is lost, and every answer is paid once."""

import time
from pathlib import Path

import pytest

from tests.gateway.faults.client import Client
from tests.gateway.faults.load import Load
from tests.gateway.faults.node import EVENTS, Node
from tests.gateway.faults.site import assert_all_adds_up, open_site, until, write_settings

DAY = 86_400.0


class Clock:
    """The time of day, and how far it has jumped."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_the_clock_jumps(tmp_path: Path, jump: float) -> None:
    node, clock = Node(), Clock()
    async with open_site(
        write_settings(tmp_path, "http://127.0.0.1:9"), node.seen, transport=node, clock=clock
    ) as site:
        load = Load(site, EVENTS)
        load.start(8)
        for ahead in (jump, 0.0):
            whole = load.said["whole"]
            await until(lambda whole=whole: load.said["whole"] > whole + 20, f"no answers: {load.said}")
            clock.ahead = ahead
        whole = load.said["whole"]
        await until(lambda: load.said["whole"] > whole + 20, f"no answers after the jumps: {load.said}")
        await load.stop()
        assert not load.others, load.others[:3]
        assert (await Client.of(site).ask()).whole
        await assert_all_adds_up(site)

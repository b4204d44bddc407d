"""One of two workers of a pool is killed in the middle of load; its place is filled, and what it held is taken back."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil

from configs.loader import load_settings
from loadtests.fake_engine import FakeEngine, Script, running
from tests.conftest import ROOT, free_port, wait_until_ready
from tests.gateway.faults.client import BODY
from tests.gateway.faults.site import Site, assert_all_adds_up, prepared, price, until, write_settings

WORDS = 5


async def ask_for_ever(site: Site, url: str) -> None:
    headers = {"authorization": f"Bearer {site.key}"}
    while True:
        try:
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as client:
                answer = await client.post("/v1/chat/completions", json=BODY)
        except httpx.TransportError:
            continue
        if answer.status_code == 200 and answer.text.endswith("data: [DONE]\n\n"):
            site.received[answer.headers["x-request-id"]] = price(WORDS)


async def test_a_worker_of_two_is_killed(tmp_path: Path) -> None:
    engine = FakeEngine(("opc-starter",))
    engine.script = Script([{"content": "好"}] * WORDS, pause_seconds=0.02)
    port = free_port()
    with running(engine) as upstream:
        path = write_settings(tmp_path, upstream, listen={"port": port}, workers={"processes": 2})
        settings = load_settings(path)
        tenant, key = await prepared(settings)
        site = Site(settings, tenant, key, lambda: engine.seen.open)
        log, url = tmp_path / "pool.log", f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "configs", "serve", "--config", str(path)]
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)  # noqa: ASYNC220
        try:
            await asyncio.to_thread(wait_until_ready, url, process, log)
            askers = [asyncio.create_task(ask_for_ever(site, url)) for _ in range(6)]
            await until(lambda: len(site.received) > 20, "no answers before the kill", 60)
            os.kill(psutil.Process(process.pid).children()[0].pid, signal.SIGKILL)
            answered = len(site.received)
            await until(lambda: len(site.received) > answered + 20, "no answers after the kill", 60)
            for one in askers:
                one.cancel()
            await asyncio.wait(askers)
            await assert_all_adds_up(site, reserved_seconds=40)
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 20)

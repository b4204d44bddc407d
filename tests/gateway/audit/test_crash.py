"""A gateway is killed under load: whoever received the last byte of an answer has a record, and the chain verifies."""

import asyncio
import json
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from typer.testing import CliRunner

from configs.loader import load_settings
from gateway.audit.cli import audit
from loadtests.fake_engine import FakeEngine, Script, running
from tests.conftest import ROOT, free_port, wait_until_ready
from tests.gateway.audit.site import make_keys, write_site

KILLS = 2
ASKERS = 12
ANSWERS = 40


@contextmanager
def gateway(config: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    log = config.parent / "gateway.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "configs", "serve", "--config", str(config)], cwd=ROOT, stdout=out, stderr=out
        )
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", process, log)
        yield process
    finally:
        process.kill()
        process.wait(20)


async def ask_for_ever(client: httpx.AsyncClient, answered: asyncio.Queue[str], *, stream: bool) -> None:
    """Ask until the connection breaks; note the id of each answer that came whole."""
    body = {"model": "opc-starter", "messages": [{"role": "user", "content": "写一句文案"}], "stream": stream}
    while True:
        try:
            async with client.stream("POST", "/v1/chat/completions", json=body) as response:
                content = await response.aread()
        except httpx.TransportError:
            return
        if response.status_code == 200 and (not stream or content.endswith(b"data: [DONE]\n\n")):
            answered.put_nowait(response.headers["x-request-id"])


async def load_until_killed(url: str, key: str, process: subprocess.Popen[bytes], received: set[str]) -> None:
    async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=20) as client:
        answered: asyncio.Queue[str] = asyncio.Queue()
        askers = [asyncio.create_task(ask_for_ever(client, answered, stream=n % 2 == 0)) for n in range(ASKERS)]
        for _ in range(ANSWERS):
            received.add(await asyncio.wait_for(answered.get(), 60))
        await asyncio.sleep(random.random() / 5)
        process.send_signal(signal.SIGKILL)
        await asyncio.gather(*askers)
        received.update(answered.get_nowait() for _ in range(answered.qsize()))


def test_killed_under_load_no_answered_request_is_without_its_record(tmp_path: Path) -> None:
    engine = FakeEngine(("opc-starter",))
    engine.script = Script([{"content": "好的，"}, {"content": "没问题"}], pause_seconds=0.005)
    received: set[str] = set()
    port = free_port()
    with running(engine) as upstream:
        limits = {"concurrent_requests_per_key": 64}
        config = write_site(tmp_path, upstream, port, limits=limits)
        key = make_keys(load_settings(config))["caller"]
        for _ in range(KILLS):
            with gateway(config, port) as process:
                asyncio.run(load_until_killed(f"http://127.0.0.1:{port}", key, process, received))
    assert len(received) >= KILLS * ANSWERS
    with sqlite3.connect(tmp_path / "opcgate.db") as database:
        recorded = {name for (name,) in database.execute("SELECT id FROM requests")}
        unsigned = database.execute(
            "SELECT writer, max(seq) FROM audit_links GROUP BY writer"
            " EXCEPT SELECT writer, max(seq) FROM audit_signatures GROUP BY writer"
        ).fetchall()
    assert received - recorded == set()
    assert len([writer for writer, _ in unsigned if writer != "control"]) <= 1, "the next start signs what was left"
    verified = CliRunner().invoke(audit, ["verify", "--json", "--config", str(config)])
    assert verified.exit_code == 0, verified.stdout
    summary = json.loads(verified.stdout.splitlines()[-1])
    assert summary["problems"] == 0
    assert summary["records"] >= len(received)

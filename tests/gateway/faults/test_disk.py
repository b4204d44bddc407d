"""A full disk under load, in a process whose files may not grow any more (RLIMIT_FSIZE).

Harsher than a full disk, where pages that a file has already can still be written; the error is of the same kind.
"""

import asyncio
import resource
import subprocess
import sys
from pathlib import Path

import httpx

from configs.loader import load_settings
from loadtests.fake_engine import FakeEngine, Script, running
from tests.conftest import ROOT, free_port, wait_until_ready
from tests.gateway.faults.client import BODY
from tests.gateway.faults.site import Site, assert_all_adds_up, prepared, price, until, write_settings

WORDS = 5


async def test_a_full_disk(tmp_path: Path) -> None:
    engine = FakeEngine(("opc-starter",))
    engine.script = Script([{"content": "好"}] * WORDS)
    port = free_port()
    with running(engine) as upstream:
        path = write_settings(tmp_path, upstream, listen={"port": port}, audit={"sign_seconds": 0.5})
        settings = load_settings(path)
        tenant, key = await prepared(settings)
        site = Site(settings, tenant, key, lambda: engine.seen.open)
        log, url = tmp_path / "gateway.log", f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "configs", "serve", "--config", str(path)]
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)  # noqa: ASYNC220
        try:
            await asyncio.to_thread(wait_until_ready, url, process, log)
            await through_a_full_disk(site, url, pids(process.pid))
            await assert_all_adds_up(site)
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 20)


async def through_a_full_disk(site: Site, url: str, processes: list[int]) -> None:
    headers = {"authorization": f"Bearer {site.key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        assert await asked(site, client) == "whole"
        limits = {one: resource.prlimit(one, resource.RLIMIT_FSIZE) for one in processes}
        for one, (_, hard) in limits.items():
            resource.prlimit(one, resource.RLIMIT_FSIZE, (4096, hard))
        said = {await asked(site, client, stream=number % 2 == 0) for number in range(6)}
        assert said <= {"record_failed", "stream ended"}, said
        for one, limit in limits.items():
            resource.prlimit(one, resource.RLIMIT_FSIZE, limit)

        async def whole() -> bool:
            return await asked(site, client) == "whole"

        await until(whole, "no answers although there is space again")


async def asked(site: Site, client: httpx.AsyncClient, *, stream: bool = True) -> str:
    """What the caller was told."""
    answer = await client.post("/v1/chat/completions", json=BODY | {"stream": stream})
    if answer.status_code == 200 and stream and not answer.text.endswith("data: [DONE]\n\n"):
        assert "record_pending" in answer.text
        site.received[answer.headers["x-request-id"]] = price(WORDS)
        return "stream ended"
    if answer.status_code == 200:
        site.received[answer.headers["x-request-id"]] = price(WORDS)
        return "whole"
    assert answer.headers["retry-after"].isdigit()
    return str(answer.json()["error"]["code"])


def pids(parent: int) -> list[int]:
    """The process and its workers."""
    import psutil

    return [parent, *(one.pid for one in psutil.Process(parent).children(recursive=True))]

"""Several workers on one port: they share the load, are replaced when they die, and change settings under load."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from loadtests.fake_engine import FakeEngine, Script, running
from tests.conftest import ROOT, free_port, run_opcgate

CATALOG = "models:\n  - id: opc-starter\n    source: {huggingface: none/none}\n    context_tokens: 1024\n"


@dataclass(frozen=True)
class Site:
    """A pool of workers in a process of its own, and what it runs on."""

    process: subprocess.Popen[bytes]
    folder: Path
    url: str
    key: str

    @property
    def workers(self) -> list[psutil.Process]:
        return [one for one in psutil.Process(self.process.pid).children() if one.status() != psutil.STATUS_ZOMBIE]

    def ask(self, **fields: object) -> httpx.Response:
        """On a connection of its own, so that the kernel chooses a worker."""
        body = {"model": "opc-starter", "messages": [{"role": "user", "content": "写一句文案"}]} | fields
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.post(f"{self.url}/v1/chat/completions", json=body, headers=headers, timeout=20)

    def workers_that_answered(self) -> set[str]:
        with sqlite3.connect(f"file:{self.folder}/opcgate.db?mode=ro", uri=True) as database:
            return {worker for (worker,) in database.execute("SELECT DISTINCT worker FROM requests")}

    def log(self) -> str:
        return (self.folder / "pool.log").read_text()


def write_settings(folder: Path, port: int, upstream: str, *, processes: int = 2, choices: int = 8) -> Path:
    (folder / "models.yaml").write_text(CATALOG)
    path = folder / "opcgate.yaml"
    path.write_text(
        f"""
catalog: models.yaml
listen: {{port: {port}, drain_seconds: 5}}
database: {{url: "sqlite+aiosqlite:///{folder}/opcgate.db", key_cache_seconds: 0.2}}
limits: {{choices_per_request: {choices}}}
workers: {{processes: {processes}}}
upstream: {{probe_interval_seconds: 0.3}}
compliance:
  policy: {ROOT}/configs/policies/base.yaml
  lexicons: [{ROOT}/configs/lexicons/starter.tsv]
  allow_lists: [{ROOT}/configs/lexicons/allow.tsv]
labels: {{key_file: "{folder}/label-key.pem"}}
nodes: [{{name: fake, url: "{upstream}", models: [opc-starter]}}]
"""
    )
    return path


@pytest.fixture(scope="module")
def engine() -> Iterator[tuple[FakeEngine, str]]:
    engine = FakeEngine(("opc-starter",))
    with running(engine) as upstream:
        yield engine, upstream


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, engine: tuple[FakeEngine, str]) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("pool"), free_port()
    config = write_settings(folder, port, engine[1])
    key = run_opcgate("keys", "create", "--name", "t", "--config", str(config)).stdout.strip()
    with (folder / "pool.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "configs", "serve", "--config", str(config)], cwd=ROOT, stdout=log, stderr=log
        )
    site = Site(process, folder, f"http://127.0.0.1:{port}", key)
    try:
        wait_for(lambda: is_ready(site) and len(site.workers) == 2, site)
        yield site
    finally:
        process.terminate()
        process.wait(30)


def wait_for(true: Callable[[], bool], site: Site, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert site.process.poll() is None, site.log()[-3000:]
        assert time.monotonic() < deadline, site.log()[-3000:]
        time.sleep(0.1)


def is_ready(site: Site) -> bool:
    try:
        return httpx.get(f"{site.url}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def all_answer(site: Site) -> bool:
    """True when a row of fresh connections, which reach every worker, are all answered."""
    return all(is_ready(site) for _ in range(12))


def test_every_worker_answers_on_the_one_port(site: Site) -> None:
    wait_for(lambda: all_answer(site), site)
    for _ in range(40):
        assert site.ask().status_code == 200
    assert len(site.workers_that_answered()) == 2


def test_any_worker_tells_the_metrics_of_all(site: Site) -> None:
    counts = {completed(site) for _ in range(10)}
    assert len(counts) == 1, "whichever worker is asked"
    assert counts.pop() >= 40
    assert "opcgate_workers 2.0" in httpx.get(f"{site.url}/metrics").text


def completed(site: Site) -> float:
    lines = httpx.get(f"{site.url}/metrics").text.splitlines()
    return sum(
        float(one.rpartition(" ")[2])
        for one in lines
        if one.startswith("opcgate_requests_total") and 'outcome="completed"' in one
    )


def test_a_killed_worker_is_replaced_and_the_other_goes_on(site: Site) -> None:
    before = {one.pid for one in site.workers}
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: len(site.workers) == 2 and killed not in {one.pid for one in site.workers}, site)
    assert len(before & {one.pid for one in site.workers}) == 1
    wait_for(lambda: all_answer(site), site)
    assert site.ask().status_code == 200


def test_new_settings_come_into_force_under_load_without_a_lost_request(
    site: Site, engine: tuple[FakeEngine, str]
) -> None:
    wait_for(lambda: all_answer(site), site)
    engine[0].script = Script([{"content": "好"}] * 10, pause_seconds=0.02)
    assert site.ask(n=5).status_code == 200
    statuses: list[int | str] = []
    done = threading.Event()

    def ask_on() -> None:
        while not done.is_set():
            try:
                statuses.append(site.ask().status_code)
            except httpx.HTTPError as error:
                statuses.append(repr(error))

    threads = [threading.Thread(target=ask_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    before = {one.pid for one in site.workers}
    port = int(site.url.rpartition(":")[2])
    write_settings(site.folder, port, engine[1], choices=2)
    site.process.send_signal(signal.SIGHUP)
    wait_for(lambda: not before & {one.pid for one in site.workers}, site, 90)
    done.set()
    for thread in threads:
        thread.join(30)
    engine[0].script = Script()
    assert set(statuses) == {200}, statuses
    refused = site.ask(n=5)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "n"), "the new limit holds"


def test_bad_settings_change_nothing(site: Site, engine: tuple[FakeEngine, str]) -> None:
    before = {one.pid for one in site.workers}
    (site.folder / "opcgate.yaml").write_text("limits: {no_such_limit: 1}\n")
    site.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "no_such_limit" in site.log(), site)
    assert {one.pid for one in site.workers} == before
    assert site.ask().status_code == 200
    write_settings(site.folder, int(site.url.rpartition(":")[2]), engine[1])


def test_a_taken_port_is_said_at_once(site: Site) -> None:
    done = run_opcgate("serve", "--config", str(site.folder / "opcgate.yaml"))
    assert done.returncode == 1
    assert "taken" in done.stderr


def test_a_worker_that_can_never_start_ends_the_pool_with_its_reason(tmp_path: Path) -> None:
    config = write_settings(tmp_path, free_port(), "http://127.0.0.1:9", processes=2)
    config.write_text(config.read_text().replace("starter.tsv", "none.tsv"))
    done = run_opcgate("serve", "--config", str(config))
    assert done.returncode == 1
    assert "none.tsv" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stopped_pool_leaves_no_process(site: Site) -> None:
    workers = site.workers
    site.process.terminate()
    assert site.process.wait(30) == 0
    assert not [one for one in workers if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

"""The whole thing as an operator sees it: two workers, two nodes, a provider behind them; commands, drains, a stop."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadtests.fake_engine import FakeEngine, Script, running
from tests.conftest import ROOT, free_port, run_opcgate

CATALOG = "models:\n  - id: opc-starter\n    source: {huggingface: none/none}\n    context_tokens: 1024\n"


@dataclass(frozen=True)
class Site:
    process: subprocess.Popen[bytes]
    folder: Path
    url: str
    keys: dict[str, str]
    engines: dict[str, FakeEngine]
    addresses: dict[str, str]

    @property
    def config(self) -> str:
        return str(self.folder / "opcgate.yaml")

    def body(self, **fields: object) -> dict[str, object]:
        return {"model": "opc-starter", "messages": [{"role": "user", "content": "写一句文案"}]} | fields

    def ask(self, key: str = "open", **fields: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.keys[key]}"}
        return httpx.post(f"{self.url}/v1/chat/completions", json=self.body(**fields), headers=headers, timeout=20)

    def control(self, method: str, path: str, key: str = "operator", **body: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.keys[key]}"}
        return httpx.request(method, f"{self.url}/api/v1{path}", json=body or None, headers=headers, timeout=20)

    def state(self, name: str) -> str:
        return str(self.control("GET", f"/nodes/{name}").json()["state"])

    def row(self, request_id: str) -> dict[str, Any]:
        with sqlite3.connect(f"file:{self.folder}/opcgate.db?mode=ro", uri=True) as database:
            database.row_factory = sqlite3.Row
            (row,) = database.execute("SELECT * FROM requests WHERE id = ?", (request_id,)).fetchall()
        return dict(row)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("routing"), free_port()
    engines = {name: FakeEngine(("opc-starter",)) for name in ("one", "two", "spare")}
    with ExitStack() as stack:
        addresses = {name: stack.enter_context(running(engine)) for name, engine in engines.items()}
        (folder / "models.yaml").write_text(CATALOG)
        (folder / "opcgate.yaml").write_text(
            f"""
catalog: models.yaml
listen: {{port: {port}, drain_seconds: 2}}
database: {{url: "sqlite+aiosqlite:///{folder}/opcgate.db", key_cache_seconds: 0.2}}
workers: {{processes: 2}}
upstream: {{probe_interval_seconds: 0.3}}
routing:
  refresh_seconds: 0.2
  load_interval_seconds: 0.2
  drain_notice_seconds: 1
  queue_seconds: 1
  providers: [{{name: spare, model: openai/theirs, api_key_env: SPARE_KEY, api_base: "{addresses["spare"]}/v1"}}]
  overflow: {{opc-starter: [spare]}}
  may_leave: [open]
compliance:
  policy: {ROOT}/configs/policies/base.yaml
  lexicons: [{ROOT}/configs/lexicons/starter.tsv]
  allow_lists: [{ROOT}/configs/lexicons/allow.tsv]
labels: {{key_file: "{folder}/label-key.pem"}}
nodes: [{{name: one, url: "{addresses["one"]}", models: [opc-starter], region: bj}}]
"""
        )
        config = ("--config", str(folder / "opcgate.yaml"))
        keys = {
            name: run_opcgate("keys", "create", "--name", name, "--tenant", name, *config).stdout.strip()
            for name in ("open", "closed")
        }
        who = ("--name", "Op", "--email", "op@example.com")
        keys["operator"] = run_opcgate("tenants", "bootstrap", *who, *config).stdout.strip()
        with (folder / "serve.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "configs", "serve", *config],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env=os.environ | {"SPARE_KEY": "sk-spare"},
            )
        here = Site(process, folder, f"http://127.0.0.1:{port}", keys, engines, addresses)
        try:
            wait_for(lambda: is_ready(here), here)
            yield here
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(autouse=True)
def _nothing_stays_open(site: Site) -> Iterator[None]:
    for engine in site.engines.values():
        engine.script = Script()
    yield
    wait_for(lambda: all(engine.seen.open == 0 for engine in site.engines.values()), site, running=False)


def wait_for(true: Callable[[], bool], site: Site, *, running: bool = True) -> None:
    deadline = time.monotonic() + 90
    while not true():
        log = (site.folder / "serve.log").read_text()[-3000:]
        assert not running or site.process.poll() is None, log
        assert time.monotonic() < deadline, log
        time.sleep(0.05)


def is_ready(site: Site) -> bool:
    try:
        return httpx.get(f"{site.url}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_only_operators_see_nodes(site: Site) -> None:
    assert site.control("GET", "/nodes", "open").status_code == 403
    assert httpx.get(f"{site.url}/api/v1/nodes").status_code == 401


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "ftp://host"),
        ("url", "http://user:secret@host:1"),
        ("url", "http://host/../admin"),
        ("url", "http://host:1/v1?x=1"),
        ("url", "http://"),
        ("url", "http://host:99999"),
        ("url", "file:///etc/passwd"),
        ("models", ["opc-unknown"]),
        ("models", []),
        ("name", "Two Words"),
        ("capacity", 0),
        ("cost_weight", -1),
        ("state", "active"),
    ],
)
def test_a_node_that_cant_be_is_refused(field: str, value: object, site: Site) -> None:
    body: dict[str, object] = {"name": "bad", "url": "http://127.0.0.1:1", "models": ["opc-starter"]} | {field: value}
    response = site.control("POST", "/nodes", **body)
    assert response.status_code == 400
    assert field in response.json()["error"]["param"]
    assert site.control("GET", "/nodes/bad").status_code == 404


def test_a_node_is_added_takes_requests_is_drained_and_removed(site: Site) -> None:
    added = site.control("POST", "/nodes", name="two", url=site.addresses["two"], models=["opc-starter"], region="sh")
    assert added.status_code == 201
    assert (
        site.control("POST", "/nodes", name="two", url="http://127.0.0.1:1", models=["opc-starter"]).status_code == 400
    )
    wait_for(lambda: site.control("GET", "/nodes/two").json()["breakers"] == {"closed": 2}, site)
    assert site.control("POST", "/nodes/one/cordon").json()["state"] == "cordoned"
    wait_for(lambda: site.control("GET", "/nodes/one").json()["workers"] == 2, site)
    wait_for(lambda: all(site.row(_id(site.ask()))["node"] == "two" for _ in range(6)), site)
    assert is_ready(site)

    site.engines["two"].script = Script([{"content": "字"}] * 200, pause_seconds=0.03)
    with httpx.stream(
        "POST",
        f"{site.url}/v1/chat/completions",
        json=site.body(stream=True),
        headers={"authorization": f"Bearer {site.keys['open']}"},
        timeout=20,
    ) as response:
        lines = response.iter_lines()
        next(lines)
        assert site.control("POST", "/nodes/one/uncordon").json()["state"] in ("active", "unknown")
        assert site.control("POST", "/nodes/two/drain").json()["state"] == "draining"
        wait_for(lambda: _open_and_state(site) == (1, "draining"), site)
        assert [line for line in lines if line][-1] == "data: [DONE]", "what had begun was finished"
    wait_for(lambda: site.state("two") == "drained", site)
    assert site.row(_id(site.ask()))["region"] == "bj"

    listed = json.loads(run_opcgate("nodes", "list", "--json", "--config", site.config).stdout)
    assert [(one["name"], one["state"]) for one in listed] == [("one", "active"), ("two", "drained")]
    shown = run_opcgate("nodes", "watch", "--times", "1", "--config", site.config)
    assert "drained" in shown.stdout
    assert run_opcgate("nodes", "cordon", "two", "--config", site.config).returncode == 0
    assert site.state("two") == "cordoned"
    assert run_opcgate("nodes", "remove", "one", "--config", site.config).returncode == 2
    assert site.control("DELETE", "/nodes/two").status_code == 204
    assert [one["name"] for one in site.control("GET", "/nodes").json()["data"]] == ["one"]


def _id(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return response.headers["x-request-id"]


def said(response: httpx.Response, *, stream: bool) -> str:
    if not stream:
        return str(response.json()["choices"][0]["message"]["content"])
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content", "") for one in events for choice in one["choices"])


def test_what_no_node_takes_goes_to_a_provider_when_both_sides_agree(site: Site) -> None:
    site.engines["one"].up = False
    site.engines["spare"].script = Script([{"content": "来自"}, {"content": "外部"}])
    try:
        wait_for(lambda: not any(is_ready(site) for _ in range(12)), site)  # each worker has to see it go
        wait_for(lambda: site.ask("closed").status_code == 503, site)
        seen = site.engines["spare"].seen
        seen.bodies.clear()
        for stream in (False, True):
            response = site.ask("open", stream=stream, temperature=0.5)
            row = site.row(_id(response))
            assert (row["node"], row["region"], row["attempts"]) == ("provider:spare", None, 1)
            assert (row["prompt_tokens"], row["completion_tokens"]) == (7, 2)
            assert row["outcome"] == "completed"
            assert said(response, stream=stream) == "来自外部"
            assert "theirs" not in response.text
        assert [one["model"] for one in seen.bodies] == ["theirs", "theirs"]
        assert all(one["temperature"] == 0.5 for one in seen.bodies)
        site.engines["spare"].script = Script([{"content": "卖冰毒"}, *[{"content": "字"}] * 500], pause_seconds=0.03)
        cut = site.ask("open", stream=True)
        assert "冰毒" not in cut.text
        assert site.row(_id(cut))["outcome"] == "cut"
        wait_for(lambda: seen.open == 0, site)
        assert site.ask("open", top_k=5).status_code == 503, "what only vLLM understands stays here"
        asked = len(seen.bodies)
        assert site.ask("closed").status_code == 503
        assert len(seen.bodies) == asked, "nothing of the other organisation has left"
        site.engines["spare"].script = Script(fault="status_500")
        failed = site.ask("open")
        assert failed.status_code == 502
        assert "/srv/" not in failed.text
        assert "sk-spare" not in (site.folder / "serve.log").read_text()
    finally:
        site.engines["one"].up = True
        wait_for(lambda: all(is_ready(site) for _ in range(12)), site)  # each worker has to see it come back


def test_a_stop_turns_readiness_red_finishes_short_streams_and_tells_long_ones(site: Site) -> None:
    texts: dict[str, str] = {}
    ids: dict[str, str] = {}

    def read(name: str, count: int) -> None:
        for engine in site.engines.values():  # whichever node the router chooses
            engine.scripts["opc-starter"] = Script([{"content": "字"}] * count, pause_seconds=0.03)
        with httpx.stream(
            "POST",
            f"{site.url}/v1/chat/completions",
            json=site.body(stream=True),
            headers={"authorization": f"Bearer {site.keys['open']}"},
            timeout=30,
        ) as response:
            ids[name] = response.headers["x-request-id"]
            texts[name] = response.read().decode()

    threads = []
    for number, (name, count) in enumerate((("short", 80), ("long", 5000))):
        threads.append(threading.Thread(target=read, args=(name, count)))
        threads[-1].start()
        wait_for(lambda: _open(site) == number + 1, site)  # noqa: B023 - called before it changes
    site.process.send_signal(signal.SIGTERM)
    wait_for(lambda: _readyz(site) in (503, None), site, running=False)
    red = _readyz(site)
    for one in threads:
        one.join(30)
    assert site.process.wait(30) == 0
    assert red == 503, "readiness turns red while requests are still taken"
    assert texts["short"].rstrip().endswith("data: [DONE]")
    assert json.loads(texts["long"].rstrip().splitlines()[-1][6:])["error"]["code"] == "shutting_down"
    assert site.row(ids["short"])["outcome"] == "completed"
    long = site.row(ids["long"])
    assert (long["outcome"], long["error_code"]) == ("failed", "shutting_down")
    assert 0 < long["completion_tokens"] < 5000


def _open(site: Site) -> int:
    return sum(one.seen.open for one in site.engines.values())


def _readyz(site: Site) -> int | None:
    try:
        return httpx.get(f"{site.url}/readyz", timeout=5).status_code
    except httpx.HTTPError:
        return None


def _open_and_state(site: Site) -> tuple[int, str]:
    """Of one look: a stream that ends between two looks leaves its node drained."""
    node = site.control("GET", "/nodes/two").json()
    return node["open_requests"], node["state"]

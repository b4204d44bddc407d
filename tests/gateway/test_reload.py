"""New rules while requests run: streams keep theirs, no request is dropped, and bad files change nothing."""

import asyncio
import gc
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from compliance.build import shipped_settings
from configs.schema import ComplianceSettings
from gateway.rules import FileDigests, Rules
from loadtests.fake_engine import FakeEngine, Script, running
from tests.gateway.conftest import serving, wait_ready
from tests.gateway.policy_site import BAD, Site, write_settings
from tests.gateway.test_answers import collected
from tests.gateway.test_faults import events


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    engine = FakeEngine(("opc-starter",))
    with running(engine) as upstream:
        settings = write_settings(tmp_path, upstream)
        with serving(settings) as url, httpx.Client(base_url=url) as client:
            wait_ready(client)
            yield Site(url, settings, engine, tmp_path)


def add_term(folder: Path, line: str) -> None:
    terms = folder / "terms.tsv"
    terms.write_text(terms.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")


def test_a_stream_keeps_the_rules_it_began_with_and_new_requests_get_the_new_ones(site: Site) -> None:
    _, key = site.key()
    site.engine.script = Script([{"content": "露营"}] * 60, pause_seconds=0.02)
    before = site.version()
    body = {"model": "opc-starter", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    with httpx.stream(
        "POST", f"{site.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}, timeout=20
    ) as response:
        stream = events(response)
        first = next(stream)
        add_term(site.folder, "露营\tip\thigh")
        site.wait_for_other_rules(than=before)
        assert site.ask(key, "露营").json()["error"]["code"] == "content_filter"
        deltas = [first, *stream]
    text = "".join(one["choices"][0]["delta"].get("content", "") for one in deltas if one["choices"])
    assert text == "露营" * 60
    assert site.record(response)["rules_version"] == before
    site.engine.script = Script([{"content": "露营"}])
    assert collected(site.ask(key, "hi"), "content") == ("", "content_filter")


def test_a_bad_file_changes_nothing_and_is_shown_until_it_is_mended(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    _, key = site.key()
    terms = site.folder / "terms.tsv"
    good, before = terms.read_text(encoding="utf-8"), site.version()
    terms.write_text(good + "无风险\n", encoding="utf-8")
    site.wait_for({"stale": True, "version": before})
    assert "opcgate_rules_stale 1.0" in httpx.get(f"{site.url}/metrics").text
    assert f"{terms}:4: " in caplog.text
    assert caplog.text.count(f"{terms}:4: ") == 1, "said once, not at every look"
    assert site.ask(key, BAD).status_code == 400
    assert site.ask(key, "hi").status_code == 200
    terms.write_text(good + "露营\tip\thigh\n", encoding="utf-8")
    site.wait_for_other_rules(than=before)
    site.wait_for({"stale": False})
    assert "opcgate_rules_stale 0.0" in httpx.get(f"{site.url}/metrics").text


def test_a_bad_policy_is_logged_with_its_line(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    before = site.version()
    bad = site.folder / "policies" / "shouting.yaml"
    bad.write_text("extends: default\ndefault:\n  output: {medium: hide}\n", encoding="utf-8")
    site.wait_for({"stale": True, "version": before})
    assert f"{bad}:3: default.output.medium: " in caplog.text


def test_a_new_policy_can_be_used_and_a_removed_one_stops_its_keys(site: Site) -> None:
    _, key = site.key(policy="late")
    assert site.ask(key, BAD).status_code == 503
    late = site.folder / "policies" / "late.yaml"
    late.write_text("extends: default\ndefault: {prompt: {high: flag}}\n", encoding="utf-8")
    _wait_for(lambda: site.ask(key, BAD).status_code == 200)
    late.unlink()
    _wait_for(lambda: site.ask(key, "hi").status_code == 503)


def test_no_request_is_dropped_while_rules_change_again_and_again(site: Site) -> None:
    _, key = site.key(policy="review")
    statuses: list[int] = []
    enough = threading.Event()

    def ask_on() -> None:
        while not enough.is_set():
            statuses.append(site.ask(key, "写一句文案", stream=len(statuses) % 2 == 0).status_code)
            statuses.append(site.ask(key, BAD).status_code)

    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        for number in range(8):
            before = site.version()
            add_term(site.folder, f"新词{number}\tip\thigh")
            site.wait_for_other_rules(than=before)
    finally:
        enough.set()
        asking.join()
    assert statuses == [200, 400] * (len(statuses) // 2)
    assert len(statuses) > 20
    assert "opcgate_rules_reloads 8.0" in httpx.get(f"{site.url}/metrics").text


def few_terms(folder: Path, interval: float) -> ComplianceSettings:
    (folder / "terms.tsv").write_text("毒品\tother_illegal\thigh\n", encoding="utf-8")
    update = {"lexicons": (folder / "terms.tsv",), "allow_lists": (), "reload_interval_seconds": interval}
    return shipped_settings().model_copy(update=update)


async def test_sighup_looks_at_once_and_rules_that_nobody_uses_are_freed(tmp_path: Path) -> None:
    rules = Rules(few_terms(tmp_path, interval=3600))
    old = weakref.ref(rules.default.pipeline)
    rules.start()
    try:
        add_term(tmp_path, "露营\tip\thigh")
        os.kill(os.getpid(), signal.SIGHUP)
        await _until(lambda: rules.reloads == 1)
        gc.collect()
        assert old() is None, "the old rules would add up in memory"
        assert rules.default.pipeline.scan("去露营", "prompt").released == "去"
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.3)
        assert rules.reloads == 1, "unchanged files are not built again"
    finally:
        await rules.close()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


async def test_a_failed_build_is_tried_again_when_asked(tmp_path: Path) -> None:
    rules = Rules(few_terms(tmp_path, interval=3600))
    terms = tmp_path / "terms.tsv"
    rules.start()
    try:
        terms.rename(tmp_path / "away.tsv")
        rules.look_now()
        await _until(lambda: rules.problem is not None)
        assert "terms.tsv: cannot be read" in str(rules.problem)
        (tmp_path / "away.tsv").rename(terms)
        rules.look_now()
        await _until(lambda: rules.problem is None)
    finally:
        await rules.close()


def test_digests_see_every_change(tmp_path: Path) -> None:
    digests, path = FileDigests(), tmp_path / "terms.tsv"
    seen = {digests.of((path,))}
    for text in ("a", "b", "ab"):
        path.write_text(text)
        seen.add(digests.of((path,)))
    assert len(seen) == 4
    assert digests.of((path,)) in seen
    stamp = path.stat()
    path.write_text("xy")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert digests.of((path,)) not in seen, "same size and time, another content"


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail("it never happened")

"""Policies at work in the gateway: set answers, suspended keys, dry runs, models and tenants."""

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from compliance.verdict import RulesError
from configs.loader import SettingsError
from configs.schema import GuardSettings
from gateway.app import build_app
from gateway.cli import keys as key_commands
from gateway.store import with_database
from gateway.tenants.suspension import restore_key
from loadtests.fake_engine import FakeEngine, Script, running
from loadtests.fake_guard import FakeGuard, GuardScript
from tests.gateway.conftest import serving, wait_ready
from tests.gateway.policy_site import BAD, EN, ZH, Site, write_settings
from tests.gateway.test_answers import collected
from tests.gateway.test_faults import events


@pytest.fixture(scope="module")
def engine() -> Iterator[tuple[FakeEngine, str]]:
    fake = FakeEngine(("opc-starter",))
    with running(fake) as upstream:
        yield fake, upstream


@pytest.fixture(scope="module")
def module_site(engine: tuple[FakeEngine, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("policies")
    settings = write_settings(folder, engine[1], tenants={"shop": "shouting"})
    with serving(settings) as url, httpx.Client(base_url=url) as client:
        wait_ready(client)
        yield Site(url, settings, engine[0], folder)


@pytest.fixture
def site(module_site: Site) -> Site:
    """The module's gateway with the engine's script and memory cleared."""
    module_site.engine.script = Script()
    module_site.engine.seen.bodies.clear()
    return module_site


@pytest.mark.parametrize(("text", "answer"), [(BAD, ZH), ("Where to buy 毒品?", ZH), ("sell 盗版", "版权")])
@pytest.mark.parametrize("stream", [True, False])
def test_a_replaced_prompt_gets_the_set_answer_and_no_node(site: Site, stream: bool, text: str, answer: str) -> None:
    _, key = site.key(policy="answering")
    response = site.ask(key, text, stream=stream)
    assert collected(response, "content") == (answer, "content_filter")
    assert site.engine.seen.bodies == []
    row = site.record(response)
    assert (row["outcome"], row["policy"], row["violation"], row["node"]) == ("replaced", "base>answering", None, None)
    assert row["findings"][0]["action"] == "replace"


def test_a_set_answer_follows_the_language_of_the_newest_turn(site: Site) -> None:
    _, key = site.key(policy="answering")
    messages = [{"role": "user", "content": BAD}, {"role": "assistant", "content": "?"}]
    english = [*messages, {"role": "user", "content": "answer me"}]
    assert collected(site.ask(key, "", messages=english), "content")[0] == EN


def test_a_set_answer_has_the_shape_of_an_answer(site: Site) -> None:
    _, key = site.key(policy="answering")
    whole = site.ask(key, BAD, n=2).json()
    assert [choice["message"]["content"] for choice in whole["choices"]] == [ZH, ZH]
    assert whole["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    *_, last = events(site.ask(key, BAD, stream=True, stream_options={"include_usage": True}))
    assert last["usage"]["total_tokens"] == 0
    text = site.ask(key, BAD, path="completions").json()
    assert (text["object"], text["choices"][0]["text"]) == ("text_completion", ZH)
    streamed = list(events(site.ask(key, BAD, path="completions", stream=True)))
    assert "".join(one["choices"][0]["text"] for one in streamed) == ZH


def test_a_blocked_message_wins_over_a_replaced_one(site: Site) -> None:
    _, key = site.key(policy="answering")
    replaced, blocked = ({"role": "user", "content": text} for text in (BAD, "卖假货"))
    for messages in ([replaced, blocked], [blocked, replaced]):
        assert site.ask(key, "", messages=messages).json()["error"]["code"] == "content_filter"
    assert site.ask(key, "", messages=[replaced, {"role": "user", "content": "电话13800138000"}]).status_code == 200


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize("text", ["量大从优，出售毒品。", "毒品"])
def test_a_replaced_output_stops_at_the_span_and_the_set_answer_follows(site: Site, text: str, size: int) -> None:
    _, key = site.key(policy="answering")
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    site.engine.script = Script([{"role": "assistant", "content": ""}, *({"content": piece} for piece in pieces)])
    before = text.partition("毒品")[0]
    expected = (f"{before}\n{ZH}" if before else ZH, "content_filter")
    streamed = site.ask(key, "写一句文案", stream=True)
    assert collected(streamed, "content") == expected
    assert collected(site.ask(key, "写一句文案"), "content") == expected
    assert site.record(streamed)["outcome"] == "cut"


def test_replaced_tool_arguments_are_followed_by_the_set_answer(site: Site) -> None:
    _, key = site.key(policy="answering")
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "order", "arguments": ""}}
    pieces = ['{"what": "', "毒", '品"}']
    rest = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]
    site.engine.script = Script([{"tool_calls": [call]}, *rest], finish_reason="tool_calls")
    streamed = site.ask(key, "写一句文案", stream=True)
    assert collected(streamed, "content") == (ZH, "content_filter")
    assert "毒" not in streamed.text
    whole = site.ask(key, "写一句文案")
    assert collected(whole, "content") == (ZH, "content_filter")
    assert "tool_calls" not in whole.json()["choices"][0]["message"], "half a call is worse than none"


def test_three_refused_prompts_in_a_row_suspend_the_key_at_every_worker(site: Site) -> None:
    key_id, key = site.key()
    answers = [site.ask(key, BAD) for _ in range(4)]
    assert [one.status_code for one in answers] == [400, 400, 400, 403]
    error = answers[3].json()["error"]
    assert (error["code"], error["type"]) == ("key_suspended", "permission_error")
    assert "suspended until" in error["message"]
    assert "暂停使用至" in error["message"]
    assert [site.record(one)["violation"] for one in answers] == ["block", "block", "block", None]
    assert site.record(answers[3])["error_code"] == "key_suspended"
    assert site.ask(key, "写一句文案").status_code == 403
    models = httpx.get(f"{site.url}/v1/models", headers={"authorization": f"Bearer {key}"})
    assert models.status_code == 403
    with serving(site.settings) as other, httpx.Client(base_url=other) as client:  # a restart, or another worker
        wait_ready(client)
        answer = client.post(
            "/v1/chat/completions",
            headers={"authorization": f"Bearer {key}"},
            json={"model": "opc-starter", "messages": [{"role": "user", "content": "hi"}]},
        )
        assert answer.status_code == 403
    assert asyncio.run(with_database(site.settings.database, lambda engine: restore_key(engine, key_id)))
    time.sleep(0.3)  # the cache's time
    assert site.ask(key, "写一句文案").status_code == 200
    assert [site.ask(key, BAD).status_code for _ in range(2)] == [400, 400]
    assert site.ask(key, "写一句文案").status_code == 200


def test_five_refused_prompts_in_a_day_suspend_the_key(site: Site) -> None:
    _, key = site.key()
    statuses = []
    for _ in range(5):
        statuses += [site.ask(key, BAD).status_code, site.ask(key, "写一句文案").status_code]
    assert statuses == [400, 200, 400, 200, 400, 200, 400, 200, 400, 403]


def test_prompts_refused_at_the_same_time_are_all_counted(site: Site) -> None:
    _, key = site.key()
    threads = [threading.Thread(target=site.ask, args=(key, BAD)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert site.ask(key, "写一句文案").status_code == 403


def test_the_action_suspend_does_so_at_once(site: Site) -> None:
    _, key = site.key(policy="at-once")
    assert [site.ask(key, BAD).status_code for _ in range(2)] == [400, 403]
    _, key = site.key(policy="at-once")
    site.engine.script = Script([{"content": "出售毒品"}])
    assert collected(site.ask(key, "写一句文案", stream=True), "content") == ("出售", "content_filter")
    assert site.ask(key, "写一句文案").status_code == 403


def test_outputs_count_where_the_policy_says_so(site: Site) -> None:
    site.engine.script = Script([{"content": "出售毒品"}])
    _, silent = site.key()
    assert [site.ask(silent, "写一句文案").status_code for _ in range(4)] == [200] * 4
    _, key = site.key(policy="counting-outputs")
    assert [site.ask(key, "写一句文案").status_code for _ in range(3)] == [200, 200, 403]


def test_the_review_policy_refuses_and_never_suspends(site: Site) -> None:
    _, key = site.key(policy="review")
    assert {site.ask(key, BAD).status_code for _ in range(6)} == {400}


def test_a_dry_run_enforces_nothing_and_records_what_would_have_been(site: Site) -> None:
    _, key = site.key(policy="dry-run")
    site.engine.script = Script([{"content": "出售毒品"}])
    text = f"{BAD}，电话13800138000"
    answers = [site.ask(key, text) for _ in range(6)]
    assert {collected(one, "content") for one in answers} == {("出售毒品", "stop")}
    assert site.engine.seen.bodies[0]["messages"][0]["content"] == text
    row = site.record(answers[-1])
    assert (row["outcome"], row["violation"], row["policy"]) == ("completed", None, "base>dry-run")
    assert [(one["action"], one["dry_run"]) for one in row["findings"]] == [
        ("block", True),
        ("mask", True),
        ("block", True),
    ]
    assert 'action="dry_run"' in httpx.get(f"{site.url}/metrics").text


def test_a_record_explains_its_findings(site: Site) -> None:
    _, key = site.key()
    row = site.record(site.ask(key, BAD))
    (finding,) = row["findings"]
    assert {name: finding[name] for name in ("scanner", "rule", "start", "end", "folding")} == {
        "scanner": "keywords",
        "rule": "terms.tsv:1",
        "start": 3,
        "end": 5,
        "folding": "",
    }
    assert row["rules_version"] == httpx.get(f"{site.url}/readyz").json()["rules"]["version"]


def test_a_tenants_policy_holds_for_its_keys(site: Site) -> None:
    site.engine.script = Script([{"content": "卖假货"}])
    texts = [site.ask(site.key(**fields)[1], "hi") for fields in ({}, {"tenant": "shop"}, {"tenant": "other"})]
    assert [collected(one, "content")[0] for one in texts] == ["卖假货", "卖!", "卖假货"]


def test_a_key_whose_policy_is_missing_is_not_served(site: Site) -> None:
    _, key = site.key(policy="vanished")
    response = site.ask(key, "hi")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "policy_unavailable")
    assert site.engine.seen.bodies == []


def test_a_models_policy_lies_under_the_keys(engine: tuple[FakeEngine, str], tmp_path: Path) -> None:
    engine[0].script = Script([{"content": "卖假货"}])
    settings = write_settings(tmp_path, engine[1], models={"opc-starter": "shouting"})
    with serving(settings) as url, httpx.Client(base_url=url) as client:
        wait_ready(client)
        site = Site(url, settings, engine[0], tmp_path)
        assert collected(site.ask(site.key()[1], "hi"), "content")[0] == "卖!"
        response = site.ask(site.key(policy="answering")[1], "hi")
        assert collected(response, "content")[0] == "卖!"
        assert site.record(response)["policy"] == "base>shouting>answering"


def test_guard_models_heed_the_policy(engine: tuple[FakeEngine, str], tmp_path: Path) -> None:
    engine[0].script = Script()
    guard = FakeGuard()
    with running(guard) as address:
        one = GuardSettings(name="qwen", protocol="qwen3guard", url=address, model="guard-1")
        guard.script = GuardScript("qwen3guard", {"开锁": "Non-violent Illegal Acts"}, {})
        settings = write_settings(tmp_path, engine[1]).model_copy(update={"guards": (one,)})
        with serving(settings) as url, httpx.Client(base_url=url) as client:
            wait_ready(client)
            site = Site(url, settings, engine[0], tmp_path)
            statuses = [site.ask(site.key()[1], "怎么开锁").status_code]
            asked = len(guard.seen.bodies)
            statuses.append(site.ask(site.key(policy="unguarded")[1], "怎么开锁").status_code)
            assert len(guard.seen.bodies) == asked, "a guard that is off is not asked"
            dry = site.ask(site.key(policy="dry-run")[1], "怎么开锁")
            assert [*statuses, dry.status_code] == [400, 200, 200]
            assert [(one["scanner"], one["dry_run"]) for one in site.record(dry)["findings"]] == [("guard", True)]


@pytest.mark.parametrize(
    ("compliance", "error", "why"),
    [
        ({"models": {"opc-startre": "review"}}, SettingsError, "compliance.models.opc-startre: no node serves"),
        ({"models": {"opc-starter": "nobody"}}, RulesError, "no policy is called 'nobody'"),
        ({"tenants": {"acme": "nobody"}}, RulesError, "no policy is called 'nobody'"),
    ],
)
def test_settings_that_name_nothing_stop_the_start(
    tmp_path: Path, compliance: dict, error: type[Exception], why: str
) -> None:
    settings = write_settings(tmp_path, "http://127.0.0.1:1", **compliance)
    with pytest.raises(error, match=re.escape(why)):
        build_app(settings)


def test_keys_are_shown_suspended_and_restored_by_command(site: Site) -> None:
    config = str(site.folder / "opcgate.yaml")
    key_id, key = site.key()

    def keys(*arguments: str) -> Result:
        return CliRunner().invoke(key_commands, [*arguments, "--config", config])

    site.ask(key, BAD)
    assert keys("suspend", key_id, "--hours", "2").exit_code == 0
    assert keys("suspend", key_id).exit_code == 2
    time.sleep(0.3)  # the cache's time
    assert site.ask(key, "hi").status_code == 403
    shown = keys("show", key_id).output
    assert "(operator)" in shown
    assert "violation" in shown
    assert keys("restore", key_id).exit_code == 0
    assert "no suspended key" in keys("restore", key_id).stderr
    assert keys("policy", key_id, "dry-run").exit_code == 0
    assert "no policy is called 'nobody'" in keys("policy", key_id, "nobody").stderr
    assert "no policy is called 'nobody'" in keys("create", "--name", "x", "--policy", "nobody").stderr
    assert "no key has the id" in keys("show", "key_0").stderr
    time.sleep(0.3)
    assert site.ask(key, BAD).status_code == 200, "a dry run"

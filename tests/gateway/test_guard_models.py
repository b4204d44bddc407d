"""Guards behind real addresses: what they are asked, what callers see, and every way in which a guard can fail."""

import concurrent.futures
import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from compliance.guards.build import build_guards
from compliance.guards.turns import Turn
from compliance.verdict import RulesError
from configs.loader import load_settings
from configs.schema import GuardSettings
from gateway.guard_client import GuardFailed, guard_keys, open_judges
from loadtests.fake_engine import FakeEngine, Script, running
from loadtests.fake_guard import FakeGuard, GuardScript
from tests.conftest import free_port, read_cases, run_opcgate
from tests.gateway.conftest import Faulty, _settings, serving, wait_ready
from tests.gateway.test_faults import events, record

FAULTS = read_cases("guard_faults.jsonl")
UNSAFE = {"qwen": "Non-violent Illegal Acts", "llama": "S2", "openai": "illicit"}
ANSWER = [{"role": "assistant", "content": ""}] + [{"content": one} for one in ("你好", "。卖", "货。", "再见。")]


@dataclass(frozen=True)
class Guarded:
    """Gateways by the name of their guard, all in front of one fake engine and one fake guard."""

    gateways: dict[str, Faulty]
    engine: FakeEngine
    guard: FakeGuard


GUARDS = {
    # The names say the protocol; together they have both modes and both ways to take a failure.
    "qwen": {"protocol": "qwen3guard", "mode": "strict", "api_key_env": "GUARD_KEY", "concurrent_judgements": 2},
    "llama": {"protocol": "llama_guard", "mode": "cutoff"},
    "openai": {"protocol": "openai_moderation", "on_failure": "flag", "actions": {"medium": "block"}},
}


@pytest.fixture(scope="module")
def guarded_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    engine, guard = FakeEngine(("opc-starter", "vectors")), FakeGuard()
    with ExitStack() as stack, pytest.MonkeyPatch.context() as environment:
        environment.setenv("GUARD_KEY", "sk-guard")
        upstream, address = stack.enter_context(running(engine)), stack.enter_context(running(guard))
        folder = tmp_path_factory.mktemp("guarded")
        settings = _settings(folder, upstream)
        key = run_opcgate(
            "keys", "create", "--name", "t", "--policy", "review", "--config", str(folder / "opcgate.yaml")
        ).stdout.strip()
        gateways = {}
        for name, fields in GUARDS.items():
            one = GuardSettings.model_validate(
                {"name": name, "url": address, "model": "guard-1", "deadline_seconds": 0.5} | fields
            )
            url = stack.enter_context(serving(settings.model_copy(update={"guards": (one,)})))
            client = stack.enter_context(httpx.Client(base_url=url, timeout=20))
            client.headers["authorization"] = f"Bearer {key}"
            wait_ready(client)
            gateways[name] = Faulty(client, url, key, engine, folder / "opcgate.db")
        yield Guarded(gateways, engine, guard)


@pytest.fixture
def guarded(guarded_module: Guarded) -> Iterator[Guarded]:
    """The module's gateways with fresh scripts and, afterwards, nothing left open behind them."""
    engine, guard = guarded_module.engine, guarded_module.guard
    engine.script, guard.script = Script(ANSWER), GuardScript()
    engine.seen.bodies.clear()
    guard.seen.bodies.clear()
    guard.seen.keys.clear()
    guard.seen.most_open = 0
    yield guarded_module
    deadline = time.monotonic() + 5
    while (engine.seen.open or guard.seen.open) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (engine.seen.open, guard.seen.open) == (0, 0), "a request is still open on the engine or the guard"


def script(name: str, *, unsafe: str = "", controversial: str = "", **fields: object) -> GuardScript:
    category = UNSAFE[name]
    protocol = "llama_guard" if name == "llama" else "qwen3guard"
    return GuardScript(
        protocol,  # type: ignore[arg-type]
        {unsafe: category} if unsafe else {},
        {controversial: category} if controversial else {},
        **fields,  # type: ignore[arg-type]
    )


def content(response: httpx.Response) -> str:
    """All content of a stream."""
    choices = [choice for event in events(response) for choice in event.get("choices", ())]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@pytest.mark.parametrize("name", GUARDS)
def test_an_unsafe_prompt_is_refused(name: str, guarded: Guarded) -> None:
    gateway = guarded.gateways[name]
    guarded.guard.script = script(name, unsafe="开锁")
    response = gateway.chat(messages=[{"role": "user", "content": "怎么开锁"}])
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("content_filter", "messages.0")
    assert name in error["message"]
    assert "开锁" not in response.text
    assert guarded.engine.seen.bodies == []
    row = record(gateway, response.headers["x-request-id"])
    assert row["outcome"] == "refused"
    (found,) = json.loads(row["findings"])
    assert found == {
        **found,
        "where": "messages.0",
        "start": 0,
        "end": 4,
        "type": "guard",
        "risk": "other_illegal",
        "rule": f"guard:{name}/{UNSAFE[name]}",
        "action": "block",
    }


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", GUARDS)
def test_a_safe_request_passes_whole(name: str, stream: bool, guarded: Guarded) -> None:
    gateway = guarded.gateways[name]
    guarded.guard.script = script(name)
    response = gateway.chat(stream=stream)
    assert response.status_code == 200
    if stream:
        assert content(response) == "你好。卖货。再见。"
        assert response.text.endswith("data: [DONE]\n\n")
    else:
        assert response.json()["choices"][0]["message"]["content"] == "你好。卖货。再见。"
    row = record(gateway, response.headers["x-request-id"])
    assert (row["outcome"], row["note"], json.loads(row["findings"])) == ("completed", "", [])
    assert re.fullmatch(r"[0-9a-f]{16}\+[0-9a-f]{8}", row["rules_version"]), "the rules' version and the guards'"
    assert json.loads(row["released"])["choices.0.content"]["judged_to"] == 9
    assert len(guarded.guard.seen.bodies) == 4, "the prompt and three sentences"


@pytest.mark.parametrize("name", ["qwen", "openai"])
@pytest.mark.parametrize("stream", [True, False])
def test_strict_gives_the_sentences_before_the_unsafe_one(name: str, stream: bool, guarded: Guarded) -> None:
    gateway = guarded.gateways[name]
    guarded.guard.script = script(name, unsafe="卖货")
    response = gateway.chat(stream=stream)
    assert response.status_code == 200
    assert "卖" not in response.text
    if stream:
        assert content(response) == "你好。"
        *_, last = events(response)
        assert last["choices"][0]["finish_reason"] == "content_filter"
        assert response.text.endswith("data: [DONE]\n\n")
    else:
        (choice,) = response.json()["choices"]
        assert (choice["message"]["content"], choice["finish_reason"]) == ("你好。", "content_filter")
    row = record(gateway, response.headers["x-request-id"])
    assert row["outcome"] == "cut"
    assert [(one["where"], one["start"], one["end"]) for one in json.loads(row["findings"])] == [
        ("choices.0.content", 3, 6)
    ]


@pytest.mark.parametrize("name", GUARDS)
def test_an_unsafe_sentence_ends_the_stream_and_aborts_the_engine(name: str, guarded: Guarded) -> None:
    gateway = guarded.gateways[name]
    guarded.guard.script = script(name, unsafe="卖货")
    guarded.engine.script = Script([*ANSWER[:4], *[{"content": "字"}] * 2000], pause_seconds=0.02)
    before = guarded.engine.seen.aborted
    response = gateway.chat(stream=True, stream_options={"include_usage": True})
    *_, cut, usage = list(events(response))
    assert cut["choices"][0]["finish_reason"] == "content_filter"
    assert 1 <= usage["usage"]["completion_tokens"] < 2000
    assert response.text.endswith("data: [DONE]\n\n")
    assert record(gateway, response.headers["x-request-id"])["outcome"] == "cut"
    _wait_for(lambda: guarded.engine.seen.aborted == before + 1)


def test_controversial_follows_the_action_of_medium_severity(guarded: Guarded) -> None:
    guarded.guard.script = script("qwen", controversial="卖货")
    response = guarded.gateways["qwen"].chat()
    assert response.json()["choices"][0]["finish_reason"] == "stop"
    row = record(guarded.gateways["qwen"], response.headers["x-request-id"])
    assert [(one["severity"], one["action"]) for one in json.loads(row["findings"])] == [("medium", "flag")]
    guarded.guard.script = GuardScript(unsafe={"卖货": "harassment"})
    response = guarded.gateways["openai"].chat()
    assert response.json()["choices"][0]["finish_reason"] == "content_filter", "its settings block medium severity"


def test_a_guard_reads_the_conversation_without_personal_information(guarded: Guarded) -> None:
    said = [
        {"role": "system", "content": "你是客服"},
        {"role": "user", "content": "电话13800138000"},
        {"role": "assistant", "content": "好的"},
        {"role": "user", "content": [{"type": "text", "text": "写文案"}]},
    ]
    assert guarded.gateways["qwen"].chat(messages=said).status_code == 200
    prompt, *sentences = [body["messages"] for body in guarded.guard.seen.bodies]
    assert prompt == [
        {"role": "user", "content": "你是客服\n\n电话[手机号]"},
        {"role": "assistant", "content": "好的"},
        {"role": "user", "content": "写文案"},
    ]
    answers = {messages[-1]["content"] for messages in sentences}
    assert answers == {"你好。", "你好。卖货。", "你好。卖货。再见。"}
    assert all(messages[:-1] == prompt for messages in sentences)
    assert {body["model"] for body in guarded.guard.seen.bodies} == {"guard-1"}


def test_every_prompt_of_a_completion_is_judged(guarded: Guarded) -> None:
    guarded.guard.script = script("qwen", unsafe="开锁")
    body = {"model": "opc-starter", "prompt": ["写文案", "怎么开锁"]}
    response = guarded.gateways["qwen"].client.post("/v1/completions", json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "prompt.1")


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case["fault"])
def test_a_failing_guard_refuses_the_prompt(case: dict, guarded: Guarded) -> None:
    gateway = guarded.gateways["qwen"]
    guarded.guard.script = script("qwen", fault=case["fault"])
    response = gateway.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "scan_failed")
    assert response.headers["retry-after"].isdigit()
    assert "/srv/" not in response.text
    assert guarded.engine.seen.bodies == []
    row = record(gateway, response.headers["x-request-id"])
    assert (row["outcome"], row["error_code"]) == ("failed", "scan_failed")
    assert row["note"].startswith(f"guard qwen {case['says']}")


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case["fault"])
def test_a_failing_guard_ends_the_answer(case: dict, guarded: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    gateway = guarded.gateways["qwen"]
    guarded.guard.script = script("qwen", fault=case["fault"], fault_at="卖货")
    response = gateway.chat(stream=True)
    *released, last = list(events(response))
    assert "".join(one["choices"][0]["delta"].get("content") or "" for one in released) == "你好。"
    assert last["error"]["code"] == "scan_failed"
    assert "[DONE]" not in response.text
    row = record(gateway, response.headers["x-request-id"])
    assert (row["outcome"], row["error_code"]) == ("failed", "scan_failed")
    assert row["note"].startswith(f"guard qwen {case['says']}")
    whole = gateway.chat()
    assert (whole.status_code, whole.json()["error"]["code"]) == (503, "scan_failed")
    assert f"guard qwen {case['says']}" in caplog.text
    assert "卖" not in caplog.text


async def test_a_guard_that_is_not_there_has_failed() -> None:
    fields = {"name": "g", "protocol": "qwen3guard", "url": f"http://127.0.0.1:{free_port()}", "model": "m"}
    guards = build_guards([GuardSettings.model_validate(fields)])
    async with open_judges(guards, {}) as judges:
        with pytest.raises(GuardFailed, match="guard g can't be reached"):
            await judges.prompt[0].judge((Turn("user", "x"),), "prompt", 0, 1)


@pytest.mark.parametrize("stream", [True, False])
def test_a_failure_may_be_flagged_instead(stream: bool, guarded: Guarded) -> None:
    gateway = guarded.gateways["openai"]
    guarded.guard.script = script("openai", fault="dead")
    response = gateway.chat(stream=stream)
    assert response.status_code == 200
    row = record(gateway, response.headers["x-request-id"])
    assert (row["outcome"], row["note"]) == ("completed", "guard openai broke off")
    assert json.loads(row["released"])["choices.0.content"]["judged_to"] == 0, "nothing unjudged is called judged"


def test_a_slow_guard_within_its_deadline_is_waited_for(guarded: Guarded) -> None:
    for name in ("qwen", "llama"):
        guarded.guard.script = script(name, unsafe="再见", pause_seconds=0.1)
        response = guarded.gateways[name].chat(stream=True)
        *_, last = events(response)
        assert last["choices"][0]["finish_reason"] == "content_filter"


def test_a_client_that_leaves_is_settled(guarded: Guarded) -> None:
    gateway = guarded.gateways["llama"]
    guarded.guard.script = script("llama", pause_seconds=0.2)
    guarded.engine.script = Script([{"content": "好。"}] * 2000, pause_seconds=0.02)
    before = guarded.engine.seen.aborted
    body = {"model": "opc-starter", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    with gateway.client.stream("POST", "/v1/chat/completions", json=body) as response:
        next(events(response))
    assert record(gateway, response.headers["x-request-id"])["outcome"] == "client_gone"
    _wait_for(lambda: guarded.engine.seen.aborted == before + 1)


def test_judgements_at_once_are_bounded(guarded: Guarded) -> None:
    guarded.guard.script = script("qwen", pause_seconds=0.02)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda _: guarded.gateways["qwen"].chat().status_code, range(4)))
    assert codes == [200] * 4
    assert guarded.guard.seen.most_open == 2


def test_the_key_comes_from_the_environment(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded.gateways["qwen"].chat()
    assert set(guarded.guard.seen.keys) == {"Bearer sk-guard"}
    guarded.guard.seen.keys.clear()
    guarded.guard.script = script("llama")
    guarded.gateways["llama"].chat()
    assert set(guarded.guard.seen.keys) == {None}, "no other key goes to a guard, the caller's least of all"
    monkeypatch.delenv("GUARD_KEY", raising=False)
    fields = {"name": "g", "protocol": "qwen3guard", "url": "http://127.0.0.1:1", "model": "m"}
    guards = build_guards([GuardSettings.model_validate(fields | {"api_key_env": "GUARD_KEY"})])
    with pytest.raises(RulesError) as unset:
        guard_keys(guards)
    assert "GUARD_KEY is not set" in unset.value.en
    assert "GUARD_KEY 未设置" in unset.value.zh


@pytest.mark.engine
def test_a_chat_model_in_a_guards_place_refuses_everything(engine: str, tmp_path: Path) -> None:
    """A real vLLM endpoint is asked as a guard; its model chats, so nothing is judged and nothing is let through."""
    settings = _settings(tmp_path, engine)
    node = settings.nodes[0].model_copy(update={"models": ("opc-starter",)})
    settings = settings.model_copy(update={"nodes": (node,)})
    key = run_opcgate("keys", "create", "--name", "t", "--config", str(tmp_path / "opcgate.yaml")).stdout.strip()
    model = httpx.get(f"{engine}/v1/models").json()["data"][0]["id"]
    fields = {"name": "chatter", "protocol": "qwen3guard", "url": engine, "model": model, "deadline_seconds": 60}
    guards = (GuardSettings.model_validate(fields),)
    with serving(settings.model_copy(update={"guards": guards})) as url, httpx.Client(base_url=url) as client:
        client.headers["authorization"] = f"Bearer {key}"
        wait_ready(client)
        gateway = Faulty(client, url, key, FakeEngine(()), tmp_path / "opcgate.db")
        response = client.post(
            "/v1/chat/completions",
            json={"model": "opc-starter", "messages": [{"role": "user", "content": "写一句水杯的文案"}]},
            timeout=90,
        )
        assert (response.status_code, response.json()["error"]["code"]) == (503, "scan_failed")
        row = record(gateway, response.headers["x-request-id"])
        assert row["outcome"] == "failed"
        assert row["note"].startswith("guard chatter answered with"), "it answered, and not as a guard answers"


def _wait_for(true: object) -> None:
    deadline = time.monotonic() + 5
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in 5 s"
        time.sleep(0.02)


def test_a_keys_policy_decides_per_guard(tmp_path: Path) -> None:
    """One guard, five keys: as the settings say, flagged only, off, let through when it fails, and no wait for it."""
    engine, guard = FakeEngine(("opc-starter", "vectors")), FakeGuard()
    policies = {
        "lenient": {"prompt": {"high": "flag"}, "output": {"high": "flag"}},
        "off": {"enabled": False},
        "trusting": {"on_failure": "flag"},
    }
    with ExitStack() as stack:
        upstream, address = stack.enter_context(running(engine)), stack.enter_context(running(guard))
        (tmp_path / "policies").mkdir()
        for name, said in policies.items():
            fields = {"extends": "default", "guards": {"g": said}}
            (tmp_path / "policies" / f"{name}.yaml").write_text(json.dumps(fields), encoding="utf-8")
        _settings(tmp_path, upstream)
        config = tmp_path / "opcgate.yaml"
        text = config.read_text("utf-8").replace("compliance:\n", "compliance:\n  policy_folders: [policies]\n")
        config.write_text(text, "utf-8")
        settings = load_settings(config)
        one = GuardSettings.model_validate(
            {"name": "g", "url": address, "protocol": "qwen3guard", "model": "g", "deadline_seconds": 0.3}
        )
        url = stack.enter_context(serving(settings.model_copy(update={"guards": (one,)})))
        client = stack.enter_context(httpx.Client(base_url=url, timeout=20))
        wait_ready(client)

        def ask(policy: str | None, content: str) -> int:
            named = ["--policy", policy] if policy else []
            key = run_opcgate("keys", "create", "--name", "t", *named, "--config", str(config)).stdout.strip()
            body = {"model": "opc-starter", "messages": [{"role": "user", "content": content}]}
            return client.post(
                "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}
            ).status_code

        engine.script, guard.script = Script(ANSWER), script("qwen", unsafe="开锁")
        assert [ask(name, "怎么开锁") for name in (None, "lenient", "trusting")] == [400, 200, 400]
        asked = len(guard.seen.bodies)
        assert ask("off", "怎么开锁") == 200
        assert len(guard.seen.bodies) == asked, "a guard that is off is not asked"
        guard.script = script("qwen", fault="status_500")
        assert [ask(name, "你好") for name in (None, "trusting")] == [503, 200]
        counted = client.get("/metrics").text
        assert 'opcgate_guard_seconds_count{direction="prompt",guard="g"} 5.0' in counted
        assert 'opcgate_guard_failures_total{cause="protocol",direction="prompt",guard="g"} 2.0' in counted
        assert 'opcgate_guard_failures_total{cause="protocol",direction="output",guard="g"}' in counted

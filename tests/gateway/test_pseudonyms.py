"""The policy `private`: the model sees pseudonyms, the caller gets the values back."""

import json
from collections.abc import Iterator

import httpx
import pytest

from loadtests.fake_engine import FakeEngine, Script, running
from tests.gateway.conftest import serving, wait_ready
from tests.gateway.policy_site import Site, write_settings
from tests.gateway.test_answers import collected

PROMPT = "收货人：张伟，电话13800138000，联系人：李晓明。张伟很急。"
SEEN = "收货人：[姓名1]，电话[手机号1]，联系人：[姓名2]。[姓名1]很急。"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    fake = FakeEngine(("opc-starter",))
    folder = tmp_path_factory.mktemp("private")
    with running(fake) as upstream:
        settings = write_settings(folder, upstream)
        with serving(settings) as url, httpx.Client(base_url=url) as client:
            wait_ready(client)
            yield Site(url, settings, fake, folder)


@pytest.fixture
def key(site: Site) -> str:
    site.engine.script = Script()
    site.engine.seen.bodies.clear()
    return site.key(policy="private")[1]


def prompt_seen(site: Site) -> list[str]:
    return [message["content"] for message in site.engine.seen.bodies[-1]["messages"]]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_values_come_back_however_the_answer_is_cut(site: Site, key: str, stream: bool, size: int) -> None:
    answer = "已通知[姓名1]（[手机号1]）和[姓名2]，[姓名7]不认识"
    site.engine.script = Script([{"content": answer[at : at + size]} for at in range(0, len(answer), size)])
    response = site.ask(key, PROMPT, stream=stream)
    assert prompt_seen(site) == [SEEN]
    assert collected(response, "content") == ("已通知张伟（13800138000）和李晓明，[姓名7]不认识", "stop")


def test_a_conversation_sent_again_keeps_its_numbers(site: Site, key: str) -> None:
    turns = [PROMPT, "好的，已通知张伟", "再告诉收货人：王小红，和张伟"]
    messages = [{"role": "assistant" if at == 1 else "user", "content": text} for at, text in enumerate(turns)]
    site.ask(key, "", messages=messages)
    assert prompt_seen(site) == [SEEN, "好的，已通知[姓名1]", "再告诉收货人：[姓名3]，和[姓名1]"]


def test_what_a_caller_writes_like_a_pseudonym_stays_what_it_is(site: Site, key: str) -> None:
    site.engine.script = Script([{"content": "[姓名1]是模板，[姓名2]是人"}])
    response = site.ask(key, "把模板里的[姓名1]换成收货人：张伟")
    assert prompt_seen(site) == ["把模板里的[姓名1]换成收货人：[姓名2]"]
    assert collected(response, "content")[0] == "[姓名1]是模板，张伟是人"


def test_tool_arguments_get_values_back_as_json(site: Site, key: str) -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "send", "arguments": '{"to": "[姓名1]"}'}}
    site.engine.script = Script([{"tool_calls": [call]}], finish_reason="tool_calls")
    tools = [{"type": "function", "function": {"name": "send", "parameters": {"type": "object"}}}]
    response = site.ask(key, "告诉收货人：张伟", tools=tools)
    message = response.json()["choices"][0]["message"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"to": "张伟"}


def test_what_the_model_makes_up_is_masked(site: Site, key: str) -> None:
    site.engine.script = Script([{"content": "打13900139000"}])
    assert collected(site.ask(key, "你好"), "content")[0] == "打[手机号]"


def test_records_hold_no_value(site: Site, key: str) -> None:
    response = site.ask(key, PROMPT)
    row = site.record(response)
    assert {one["action"] for one in row["findings"]} == {"pseudonymise"}
    assert "张伟" not in json.dumps(row, ensure_ascii=False)

"""What the tests of labelled answers share: asking, collecting, verifying."""

import json
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import httpx

from compliance.labels.label import Label, parse_label
from compliance.labels.labels import check_label
from compliance.labels.rules import load_label_rules
from compliance.labels.signing_key import load_key
from tests.conftest import run_opcgate
from tests.gateway.conftest import Faulty
from tests.gateway.test_faults import events

RULES = load_label_rules()
ZH = "AI生成（opcgate · opc-starter）"
DELTAS = [{"role": "assistant", "content": ""}, {"content": "轻便"}, {"content": "耐用。"}]
TOOL = {"type": "function", "function": {"name": "save", "parameters": {"type": "object"}}}
CALL = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "save", "arguments": "{}"}}]}


def config_of(faulty: Faulty) -> str:
    return str(faulty.database.parent / "opcgate.yaml")


def problems_of(faulty: Faulty, label: Label, digest: bytes | None) -> list[str]:
    key = load_key(faulty.database.parent / "label-key.pem")
    return [one.en for one in check_label(label, digest, {key.id: key.public}, RULES)]


def header_label(response: httpx.Response) -> Label:
    assert response.headers["x-aigc"].isascii()
    assert " " not in response.headers["x-aigc"]
    return parse_label(json.loads(response.headers["x-aigc"])["AIGC"])


def ask(
    faulty: Faulty, key: str, *, label: str | None = None, path: str = "chat/completions", **fields: Any
) -> httpx.Response:
    body: dict[str, Any] = {"model": "opc-starter"}
    body |= {"prompt": "写"} if path == "completions" else {"messages": [{"role": "user", "content": "写"}]}
    headers = {"authorization": f"Bearer {key}"} | ({"x-opcgate-label": label} if label is not None else {})
    return faulty.client.post(f"/v1/{path}", json=body | fields, headers=headers)


def choices_of(response: httpx.Response) -> tuple[dict[int, str], dict[int, str], dict[str, Any]]:
    """(texts, finish reasons) by choice, and the one `aigc` object of a streamed or whole answer."""
    assert response.status_code == 200, response.text
    texts: dict[int, str] = {}
    finish: dict[int, str] = {}
    whole = response.headers["content-type"] == "application/json"
    answers = [response.json()] if whole else list(events(response))
    for event in answers:
        for choice in event["choices"]:
            part = choice.get("message") or choice.get("delta") or {}
            said = (choice.get("text") or "") + (part.get("content") or "")
            index = choice["index"]
            assert not (said and index in finish), "nothing follows an ending"
            texts[index] = texts.get(index, "") + said
            if choice["finish_reason"]:
                finish[index] = choice["finish_reason"]
    (aigc,) = [event["aigc"] for event in answers if "aigc" in event]
    return texts, finish, aigc


def wait_for(true: Callable[[], bool]) -> None:
    """Return when it is true; fail after 5 s."""
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline, "it did not happen in 5 s"
        time.sleep(0.05)


@cache
def _new_key(config: str, position: str) -> str:
    return run_opcgate(
        "keys", "create", "--name", position, "--label-position", position, "--config", config
    ).stdout.strip()


def key_at(faulty: Faulty, position: str) -> str:
    """A key whose answers show their label at a position; made once."""
    return _new_key(config_of(faulty), position)

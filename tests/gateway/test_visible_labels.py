"""The visible label: where it stands, where it never does, and answers that go out without it."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.labels.answers import read_answer
from compliance.labels.ids import new_content_id
from compliance.labels.label import parse_label
from compliance.labels.labels import Labels, build_labels, check_label, digest_of_texts
from configs.schema import LabelPosition, LabelSettings
from gateway.labelling import Labelling
from gateway.record import RequestEntry
from gateway.request import CHAT, CheckedRequest, parse_request
from gateway.tenants.keys import Caller
from loadtests.fake_engine import Script
from tests.conftest import run_opcgate
from tests.gateway.conftest import Faulty
from tests.gateway.labelled import (
    CALL,
    DELTAS,
    RULES,
    TOOL,
    ZH,
    ask,
    choices_of,
    config_of,
    key_at,
    problems_of,
    wait_for,
)
from tests.gateway.test_faults import events, record

# The visible text.


@pytest.mark.parametrize("path", ["chat/completions", "completions"])
@pytest.mark.parametrize("position", ["start", "end", "both", "corner"])
def test_the_text_stands_where_the_key_wants_it(faulty: Faulty, position: str, path: str) -> None:
    want = {
        "start": f"{ZH}\n\n轻便耐用。",
        "end": f"轻便耐用。\n\n{ZH}",
        "both": f"{ZH}\n\n轻便耐用。\n\n{ZH}",
        "corner": "轻便耐用。",
    }[position]
    for stream in (False, True):
        faulty.engine.script = Script(DELTAS, choices=3)
        response = ask(faulty, key_at(faulty, position), path=path, stream=stream, n=3)
        texts, finish, aigc = choices_of(response)
        assert texts == {0: want, 1: want, 2: want}
        assert finish == {0: "stop", 1: "stop", 2: "stop"}
        assert aigc["position"] == position
        assert problems_of(faulty, parse_label(aigc["AIGC"]), digest_of_texts([want] * 3)) == []
        row = record(faulty, response.headers["x-request-id"])
        assert row["label_position"] == position
        assert row["label_characters"] == 3 * (len(want) - len("轻便耐用。"))


def test_in_a_stream_the_text_is_the_first_and_the_last_thing_said(faulty: Faulty) -> None:
    faulty.engine.script = Script([*DELTAS, {"content": "电话138001"}])
    response = ask(faulty, key_at(faulty, "both"), stream=True, stream_options={"include_usage": True})
    *said, ending, usage = list(events(response))
    deltas = [event["choices"][0]["delta"].get("content") or "" for event in said]
    assert next(text for text in deltas if text).startswith(ZH)
    assert deltas[-1].endswith(ZH)
    assert "电话138001" in "".join(deltas), "what the gate held to the end comes before the label"
    assert ending["choices"] == [{"index": 0, "logprobs": None, "finish_reason": "stop", "delta": {}}]
    assert "aigc" in ending
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 4, "the engine's tokens, the label is not billed"


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}},
        {"tools": [TOOL]},
        {"structured_outputs": {"regex": "a"}},
    ],
    ids=["json_object", "json_schema", "tools", "structured"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_never_in_what_a_program_reads(faulty: Faulty, fields: dict, stream: bool) -> None:
    faulty.engine.script = Script([{"content": '{"a":'}, {"content": "1}"}])
    texts, _, aigc = choices_of(ask(faulty, key_at(faulty, "both"), stream=stream, **fields))
    assert json.loads(texts[0]) == {"a": 1}
    assert aigc["position"] == "corner"
    assert aigc["notice"]["zh"] == ZH


@pytest.mark.parametrize("fields", [{"response_format": {"type": "text"}}, {"tools": [TOOL], "tool_choice": "none"}])
def test_text_answers_get_it_all_the_same(faulty: Faulty, fields: dict) -> None:
    faulty.engine.script = Script(DELTAS)
    assert choices_of(ask(faulty, key_at(faulty, "end"), **fields))[0][0].endswith(ZH)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_text_gets_none(faulty: Faulty, stream: bool) -> None:
    faulty.engine.script = Script([{"role": "assistant", "content": ""}, CALL], finish_reason="tool_calls")
    texts, finish, _ = choices_of(ask(faulty, key_at(faulty, "both"), stream=stream))
    assert texts == {0: ""}
    assert finish == {0: "tool_calls"}


def test_a_cut_answer_has_its_text_after_what_was_released(faulty: Faulty) -> None:
    faulty.engine.script = Script([{"content": "限时优惠！"}, {"content": "本店出售冰毒。"}])
    streamed = choices_of(ask(faulty, key_at(faulty, "end"), stream=True))
    whole = choices_of(ask(faulty, key_at(faulty, "end")))
    assert streamed[:2] == whole[:2]
    assert whole[0][0].endswith(f"\n\n{ZH}")
    assert whole[1] == {0: "content_filter"}


def test_a_key_changes_its_position(faulty: Faulty) -> None:
    made = run_opcgate("keys", "create", "--name", "moving", "--config", config_of(faulty))
    key, key_id = made.stdout.strip(), made.stderr.partition(":")[0]
    faulty.engine.script = Script(DELTAS)
    assert choices_of(ask(faulty, key))[2]["position"] == "corner"
    assert run_opcgate("keys", "label", key_id, "--position", "start", "--config", config_of(faulty)).returncode == 0
    wait_for(lambda: choices_of(ask(faulty, key))[2]["position"] == "start")
    assert run_opcgate("keys", "label", key_id, "--position", "default", "--config", config_of(faulty)).returncode == 0
    wait_for(lambda: choices_of(ask(faulty, key))[2]["position"] == "corner")
    wrong = run_opcgate("keys", "label", key_id, "--position", "top", "--config", config_of(faulty))
    assert wrong.returncode == 2
    assert "start, end, both, corner" in wrong.stderr


def test_a_tenants_position_goes_before_the_deployments_and_a_keys_before_both(label_maker: Labels) -> None:
    labelling = Labelling(label_maker, LabelSettings(position="end", tenants={"acme": "start"}))
    keys = [Caller("k", None), Caller("k", None, tenant="acme"), Caller("k", None, "both", tenant="acme")]
    for caller, position in zip(keys, ("end", "start", "both"), strict=True):
        request_entry = entry()
        answer = labelling.begin(request_of(stream=False), caller, request_entry)
        (event,) = answer.apply({"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}]})
        assert event["aigc"]["position"] == request_entry.label_position == position


POSITIONS: list[LabelPosition] = ["start", "end", "both", "corner"]
pieces = st.lists(st.tuples(st.sampled_from(["content", "reasoning"]), st.text("文a。", max_size=3)), max_size=6)


@settings(max_examples=150, deadline=None)
@given(said=st.lists(pieces, min_size=1, max_size=3), position=st.sampled_from(POSITIONS), data=st.data())
def test_any_stream_is_labelled_as_the_whole_answer_is(
    label_maker: Labels, said: list[list[tuple[str, str]]], position: LabelPosition, data: st.DataObject
) -> None:
    labelling = Labelling(label_maker, LabelSettings(position=position))
    messages = [
        {name: "".join(text for kind, text in choice if kind == name) for name in ("content", "reasoning")}
        for choice in said
    ]
    whole = labelling.begin(request_of(stream=False, n=len(said)), Caller("k", None), entry())
    endings = [{"index": at, "message": one, "finish_reason": "stop"} for at, one in enumerate(messages)]
    (answer,) = whole.apply({"choices": endings})
    # An ending comes with the last text or, empty, behind it; the choices' events mix in any order.
    deltas = {at: [dict([one]) for one in choice] or [{}] for at, choice in enumerate(said)}
    for at in data.draw(st.sets(st.sampled_from(sorted(deltas)))):
        deltas[at].append({})
    order = data.draw(st.permutations([at for at, queue in deltas.items() for _ in queue]))
    streamed_entry = entry()
    stream = labelling.begin(request_of(stream=True, n=len(said)), Caller("k", None), streamed_entry)
    out: list[dict[str, Any]] = []
    for at in order:
        delta = deltas[at].pop(0)
        finish = None if deltas[at] else "stop"
        out += stream.apply({"choices": [{"index": at, "delta": delta, "finish_reason": finish}]})
    assert list(stream.finish()) == []
    for at, choice in enumerate(answer["choices"]):
        mine = [one for event in out for one in event["choices"] if one["index"] == at]
        for name in ("content", "reasoning"):
            assert "".join(one["delta"].get(name) or "" for one in mine) == choice["message"][name]
        assert [one["finish_reason"] for one in mine if one["finish_reason"]] == ["stop"]
        assert mine[-1]["finish_reason"] == "stop"
    assert ["aigc" in event for event in out] == [False] * (len(out) - 1) + [True]
    keys = {label_maker.key.id: label_maker.key.public}
    last = parse_label(out[-1]["aigc"]["AIGC"])
    assert check_label(last, read_answer(answer)[1], keys, RULES) == []
    added = sum(len(choice["message"]["content"]) for choice in answer["choices"])
    plain = sum(len(text) for choice in said for kind, text in choice if kind == "content")
    assert streamed_entry.label_characters == added - plain


@pytest.fixture(scope="session")
def label_maker(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    return build_labels(LabelSettings(key_file=tmp_path_factory.mktemp("label") / "key.pem"))


def request_of(**fields: Any) -> CheckedRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]} | fields
    return parse_request(CHAT, json.dumps(body).encode(), max_choices=8)


def entry() -> RequestEntry:
    return RequestEntry(id=f"req_{new_content_id(1.0)}", endpoint="c", started_at=0.0, rules_version="v")


# Without the visible text.


def test_without_an_agreement_no_answer_goes_out_unlabelled(faulty: Faulty) -> None:
    before = len(faulty.engine.seen.bodies)
    response = ask(faulty, faulty.key, label="none")
    assert response.status_code == 403
    error = response.json()["error"]
    assert (error["code"], error["type"]) == ("label_agreement_required", "permission_error")
    assert "agreement" in error["message"]
    assert "协议" in error["message"]
    assert len(faulty.engine.seen.bodies) == before, "the engine was not asked"
    assert record(faulty, response.headers["x-request-id"])["label_position"] is None
    wrong = ask(faulty, faulty.key, label="no")
    assert wrong.status_code == 400
    assert wrong.json()["error"]["param"] == "x-opcgate-label"


def test_with_an_agreement_the_text_is_left_out_and_that_is_recorded(faulty: Faulty) -> None:
    config = config_of(faulty)
    made = run_opcgate("keys", "create", "--name", "agreed", "--label-position", "both", "--config", config)
    key, key_id = made.stdout.strip(), made.stderr.partition(":")[0]
    faulty.engine.script = Script(DELTAS)
    old = run_opcgate("keys", "agree", key_id, "--by", "张三", "--version", "0", "--config", config)
    assert "version 1 is in force" in old.stderr
    assert ask(faulty, key, label="none").status_code == 403, "an old version permits nothing"
    assert run_opcgate("keys", "agree", key_id, "--by", "张三 2026-17", "--config", config).returncode == 0
    wait_for(lambda: ask(faulty, key, label="none").status_code == 200)
    for stream in (False, True):
        response = ask(faulty, key, label="none", stream=stream)
        texts, _, aigc = choices_of(response)
        assert texts == {0: "轻便耐用。"}
        assert set(aigc) == {"AIGC", "position"}
        assert aigc["position"] == "none"
        assert problems_of(faulty, parse_label(aigc["AIGC"]), digest_of_texts(["轻便耐用。"])) == []
        row = record(faulty, response.headers["x-request-id"])
        assert row["label_position"] == "none"
        assert agreement(faulty.database, row["label_agreement"]) == (key_id, "1", "张三 2026-17", None)
    labelled = ask(faulty, key)
    assert choices_of(labelled)[0][0].count(ZH) == 2, "only where it is asked for"
    assert record(faulty, labelled.headers["x-request-id"])["label_agreement"] is None
    assert run_opcgate("keys", "withdraw", key_id, "--config", config).returncode == 0
    wait_for(lambda: ask(faulty, key, label="none").status_code == 403)
    listed = run_opcgate("keys", "agreements", "--config", config).stdout
    assert listed.count(key_id) == 2, "ended agreements stay on the list"
    again = run_opcgate("keys", "withdraw", key_id, "--config", config)
    assert again.returncode == 2
    assert run_opcgate("keys", "agree", "key_none", "--by", "x", "--config", config).returncode == 2


def agreement(database: Path, row_id: int) -> tuple:
    with sqlite3.connect(database) as connection:
        found = connection.execute("SELECT * FROM label_agreements WHERE id = ?", (row_id,))
        row = dict(zip([column[0] for column in found.description], found.fetchone(), strict=True))
    assert row["agreed_at"]
    return row["key_id"], row["version"], row["agreed_by"], row["withdrawn_at"]

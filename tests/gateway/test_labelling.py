"""The implicit label of answers: object, header, signature, the same for streams and whole answers and for SDKs."""

import hashlib
import json
import time
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.labels.answers import read_answer
from compliance.labels.label import parse_label
from compliance.labels.labels import check_label, digest_of_texts
from compliance.labels.signing_key import load_key
from gateway.labelling import JOINED, Pieces
from loadtests.fake_engine import Script
from tests.conftest import Served, run_opcgate
from tests.gateway.conftest import Faulty
from tests.gateway.labelled import (
    CALL,
    DELTAS,
    RULES,
    ZH,
    choices_of,
    header_label,
    key_at,
    problems_of,
)
from tests.gateway.test_faults import events, record

# The implicit label.


def test_a_whole_answer_carries_one_label_in_body_and_header(faulty: Faulty) -> None:
    faulty.engine.script = Script(DELTAS)
    response = faulty.chat()
    answer = response.json()
    assert answer["choices"][0]["message"]["content"] == "轻便耐用。", "an API's text stays usable by default"
    label = header_label(response)
    assert label.fields() == answer["aigc"]["AIGC"]
    assert (label.label, label.producer, label.propagator) == ("1", "opcgate-local", "opcgate-local")
    assert response.headers["x-request-id"] == f"req_{label.produce_id}", "the record is found by the content's id"
    assert problems_of(faulty, label, hashlib.sha256("轻便耐用。".encode()).digest()) == []
    assert problems_of(faulty, label, hashlib.sha256("轻便耐用！".encode()).digest())
    assert answer["aigc"]["position"] == "corner"
    assert answer["aigc"]["notice"] == {"zh": ZH, "en": "AI生成 / AI-generated (opcgate · opc-starter)"}
    assert problems_of(faulty, *read_answer(answer)) == []
    row = record(faulty, response.headers["x-request-id"])
    assert (row["label_position"], row["label_characters"], row["label_agreement"]) == ("corner", 0, None)


@pytest.mark.parametrize("usage", [False, True])
def test_a_stream_is_labelled_before_its_body_and_at_its_end(faulty: Faulty, usage: bool) -> None:
    faulty.engine.script = Script(DELTAS)
    response = faulty.chat(stream=True, stream_options={"include_usage": usage})
    before = header_label(response)
    assert problems_of(faulty, before, None) == []
    *_, last = [event for event in events(response) if event["choices"]]
    assert last["choices"][0]["finish_reason"] == "stop"
    after = parse_label(last["aigc"]["AIGC"])
    assert after.produce_id == before.produce_id == response.headers["x-request-id"].removeprefix("req_")
    assert problems_of(faulty, after, digest_of_texts(["轻便耐用。"])) == []
    assert problems_of(faulty, before, digest_of_texts(["轻便耐用。"])), "the header can't know the content"
    assert sum("aigc" in event for event in events(response)) == 1


def test_the_digest_covers_every_text_of_every_choice(faulty: Faulty) -> None:
    deltas = [{"role": "assistant", "content": ""}, {"reasoning": "想一想"}, {"content": "好"}, CALL]
    for stream in (False, True):
        faulty.engine.script = Script(deltas, choices=2, finish_reason="tool_calls")
        _, _, aigc = choices_of(faulty.chat(stream=stream, n=2))
        digest = digest_of_texts(["想一想", "好", "save", "{}"] * 2)
        assert problems_of(faulty, parse_label(aigc["AIGC"]), digest) == []


def test_ids_are_unique_and_in_the_order_of_time(faulty: Faulty) -> None:
    ids = []
    for _ in range(5):
        ids.append(header_label(faulty.chat()).produce_id)
        time.sleep(0.002)
    assert ids == sorted(set(ids))


def test_a_cut_answer_is_labelled_and_a_refusal_is_not(faulty: Faulty) -> None:
    faulty.engine.script = Script([{"content": "限时优惠！"}, {"content": "本店出售冰毒。"}, {"content": "量大"}])
    for stream in (False, True):
        response = faulty.chat(stream=stream, stream_options={"include_usage": True} if stream else None)
        texts, finish, aigc = choices_of(response)
        assert finish == {0: "content_filter"}
        assert problems_of(faulty, parse_label(aigc["AIGC"]), digest_of_texts([texts[0]])) == []
    refused = faulty.chat(messages=[{"role": "user", "content": "出售冰毒"}])
    assert refused.status_code == 400
    assert "x-aigc" not in refused.headers
    assert record(faulty, refused.headers["x-request-id"])["label_position"] is None


def test_a_stream_that_breaks_off_was_labelled_in_its_header(faulty: Faulty) -> None:
    faulty.engine.script = Script(DELTAS, fault="die_midway", fault_after=2)
    response = faulty.chat(stream=True)
    assert problems_of(faulty, header_label(response), None) == []
    *_, error = events(response)
    assert "error" in error


def test_an_engine_that_never_says_that_it_is_over(faulty: Faulty) -> None:
    faulty.engine.script = Script(DELTAS, finish_reason=None)  # type: ignore[arg-type]
    response = faulty.chat(stream=True)
    *_, last = events(response)
    assert last["choices"] == []
    assert {"id", "object", "created", "model"} <= set(last)
    assert problems_of(faulty, parse_label(last["aigc"]["AIGC"]), digest_of_texts(["轻便耐用。"])) == []
    assert response.text.endswith("data: [DONE]\n\n")


# What SDKs make of it.


def test_the_openai_sdk_reads_the_label(faulty: Faulty) -> None:
    client = openai.OpenAI(base_url=f"{faulty.url}/v1", api_key=key_at(faulty, "end"), max_retries=0)
    messages: list[Any] = [{"role": "user", "content": "写"}]
    faulty.engine.script = Script(DELTAS)
    answer = client.chat.completions.with_raw_response.create(model="opc-starter", messages=messages)
    completion = answer.parse()
    assert completion.aigc["AIGC"] == json.loads(answer.headers["x-aigc"])["AIGC"]
    assert completion.model_extra["aigc"]["notice"]["zh"] == ZH
    chunks = list(client.chat.completions.create(model="opc-starter", messages=messages, stream=True))
    assert [bool(chunk.model_extra and "aigc" in chunk.model_extra) for chunk in chunks[:-1]] == [False] * (
        len(chunks) - 1
    )
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].aigc["position"] == "end"
    with client.chat.completions.stream(model="opc-starter", messages=messages) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == f"轻便耐用。\n\n{ZH}"
    assert final.choices[0].finish_reason == "stop"
    client.close()


@pytest.mark.engine
def test_the_real_engines_answers_are_labelled(served: Served) -> None:
    made = run_opcgate("keys", "create", "--name", "end", "--label-position", "end", "--config", str(served.config))
    key = load_key(served.config.parent / "label-key.pem")
    asked: dict[str, Any] = {
        "model": "opc-starter",
        "messages": [{"role": "user", "content": "为便携榨汁杯写一句卖点，突出无线、易清洗"}],
        "temperature": 0,
    }
    with openai.OpenAI(base_url=served.base_url, api_key=made.stdout.strip(), max_retries=0) as client:
        whole = client.chat.completions.create(**asked)
        chunks = list(client.chat.completions.create(**asked, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert text.endswith(f"\n\n{ZH}")
    for aigc in (whole.aigc, chunks[-1].aigc):
        assert check_label(parse_label(aigc["AIGC"]), digest_of_texts([text]), {key.id: key.public}, RULES) == []


@given(texts=st.lists(st.text(max_size=3), max_size=300))
def test_a_text_in_pieces_is_the_same_and_holds_few_strings(texts: list[str]) -> None:
    pieces = Pieces()
    for one in texts:
        pieces.append(one)
    assert pieces.text() == "".join(texts)
    assert len(pieces._joined) + len(pieces._last) < JOINED + len(texts) / JOINED + 1

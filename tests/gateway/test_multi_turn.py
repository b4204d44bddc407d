"""Conversations: what is hidden over messages is found, and what was scanned before isn't scanned again."""

import random
from collections.abc import Collection
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.pipeline import Pipeline
from compliance.verdict import Direction, Surface, Verdict
from gateway import seams
from gateway.errors import InvalidRequest, PromptRefused
from gateway.prompt import PromptScan, scan_prompt, without
from gateway.record import RequestEntry
from gateway.request import CHAT, CheckedRequest, parse_request
from gateway.scan_turns import ScanTurns
from gateway.scanned import CLEAN, ENTRY_BYTES, ScannedTexts
from gateway.seams import REACH, Crossing, crossings_of, joins
from gateway.surfaces.shape import Place
from tests.compliance.helpers import of_terms
from tests.conftest import read_cases


class Counting(Pipeline):
    """A pipeline that counts the characters it scans."""

    def __init__(self, inner: Pipeline) -> None:
        self.inner = inner
        self.version = inner.version
        self.enforce = inner.enforce
        self.characters = 0

    def scan(
        self, text: str, direction: Direction, *, surface: Surface = "text", only: Collection[str] | None = None
    ) -> Verdict:
        self.characters += len(text)
        return self.inner.scan(text, direction, surface=surface, only=only)


TURNS = ScanTurns(1)


def chat(messages: list[tuple[str, Any]]) -> CheckedRequest:
    said = [
        {"role": role}
        | {"content": content if isinstance(content, str) else [{"type": "text", "text": one} for one in content]}
        for role, content in messages
    ]
    body = orjson.dumps({"model": "m", "messages": said})
    return parse_request(CHAT, body, max_choices=1)


def entry_of(request: CheckedRequest) -> RequestEntry:
    return RequestEntry(id="r", endpoint=request.surface.endpoint, started_at=0.0, rules_version="v")


def sent(request: CheckedRequest) -> list[Any]:
    contents = [message["content"] for message in request.body["messages"]]
    return [one if isinstance(one, str) else [part["text"] for part in one] for one in contents]


@pytest.mark.parametrize("case", read_cases("multi_turn.jsonl"), ids=lambda case: case["id"])
async def test_over_messages(case: dict[str, Any], shipped: Pipeline) -> None:
    for scanned in (ScannedTexts(0, 0), ScannedTexts(1000, 10**6)):
        for _ in range(2):  # what is remembered says the same as what is scanned
            request = chat(case["messages"])
            entry = entry_of(request)
            if "refused_at" in case:
                with pytest.raises(PromptRefused) as refused:
                    await scan_prompt(shipped, request, entry, scanned, TURNS)
                assert refused.value.param == case["refused_at"]
                assert entry.findings[-1]["where"] == case["refused_at"]
            else:
                await scan_prompt(shipped, request, entry, scanned, TURNS)
                assert sent(request) == case["sent"]


async def test_strips_over_many_joins_say_the_same(shipped: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    for strip in (seams.STRIP, 1):
        monkeypatch.setattr(seams, "JOINS_ALONE", 0)
        monkeypatch.setattr(seams, "STRIP", strip)
        for case in read_cases("multi_turn.jsonl"):
            await test_over_messages(case, shipped)


async def test_tiny_texts_cost_what_they_hold(shipped: Pipeline) -> None:
    """Each join used to cost `REACH` characters, however small the texts: 20,000 took half a minute."""
    counting = Counting(shipped)
    texts = [("user", f"{number:03d}好") for number in range(1000)]
    texts[700:700] = [("user", "买海"), ("user", "洛"), ("user", "因")]
    request = chat(texts)
    with pytest.raises(PromptRefused) as refused:
        await scan_prompt(counting, request, entry_of(request), ScannedTexts(0, 0), TURNS)
    assert refused.value.param == "messages.702.content"
    counting.characters = 0
    harmless = chat(texts[:700] + texts[703:])
    await scan_prompt(counting, harmless, entry_of(harmless), ScannedTexts(0, 0), TURNS)
    size = sum(len(text) for _, text in texts)
    assert size < counting.characters < 3 * size


async def test_a_finding_over_a_join_is_reported_where_it_ends(shipped: Pipeline) -> None:
    request = chat([("user", "电话1380"), ("user", "0138000，谢谢")])
    entry = entry_of(request)
    await scan_prompt(shipped, request, entry, ScannedTexts(10, 10**6), TURNS)
    (found,) = entry.findings
    assert (found["where"], found["start"], found["end"], found["type"]) == ("messages.1.content", 0, 7, "mobile")


def turns_of(*texts: str) -> list[Place]:
    return [Place(f"messages.{at}.content", {"content": text}, "content") for at, text in enumerate(texts)]


def crossings(pipeline: Pipeline, scanned: ScannedTexts, places: list[Place]) -> list[Crossing]:
    return [one for join in joins(places) for one in crossings_of(pipeline, scanned, join)]


def test_terms_cut_in_two_are_found(shipped: Pipeline) -> None:
    nothing = ScannedTexts(0, 0)
    cut, missed = 0, []
    for case in read_cases("evasions.jsonl"):
        text = case["text"]
        terms = [one for one in shipped.scan(text, "prompt").findings if one.scanner == "keywords"]
        for one in terms[:1]:
            middle = (one.start + one.end) // 2
            across = crossings(shipped, nothing, turns_of(text[:middle], text[middle:]))
            cut += 1
            if one.risk not in {crossing.finding.risk for crossing in across}:
                missed.append(case["id"])
    assert cut > 600, "the table of evasions is read"
    assert missed == []


def test_ordinary_messages_make_no_finding_where_they_join(shipped: Pipeline) -> None:
    nothing = ScannedTexts(0, 0)
    tables = ("ordinary.jsonl", "ordinary_independent.jsonl", "ordinary_business.jsonl")
    texts = [case["text"].rstrip("。！？.!?") for table in tables for case in read_cases(table)]
    random.Random(1).shuffle(texts)
    found = [one for pair in pairwise(texts) for one in crossings(shipped, nothing, turns_of(*pair))]
    assert len(found) <= len(texts) / 1000


def conversation(turns: int) -> list[tuple[str, str]]:
    messages = [("system", "你是一个电商文案助手。")]
    for turn in range(turns):
        messages += [
            ("user", f"请把第{turn}版文案改得更短一些，突出轻便耐用，适合露营。"),
            ("assistant", f"第{turn}版：轻便耐用，一拎就走，露营好搭档。" * 5),
        ]
    return messages[:-1]


async def test_a_turn_costs_only_what_is_new_in_it(shipped: Pipeline) -> None:
    counting, scanned = Counting(shipped), ScannedTexts(10_000, 10**7)
    for turns in range(1, 31):
        counting.characters = 0
        request = chat(conversation(turns))
        await scan_prompt(counting, request, entry_of(request), scanned, TURNS)
        new = sum(len(content) for _, content in conversation(turns)[-2:])
        assert counting.characters <= new + 2 * REACH, f"turn {turns} costs more than what is new in it and a join"
    counting.characters = 0
    request = chat(conversation(30))
    await scan_prompt(counting, request, entry_of(request), scanned, TURNS)
    assert counting.characters == 0


async def test_without_a_memory_everything_is_scanned(shipped: Pipeline) -> None:
    counting, nothing = Counting(shipped), ScannedTexts(0, 0)
    for _ in range(2):
        counting.characters = 0
        request = chat([("user", "你好")])
        await scan_prompt(counting, request, entry_of(request), nothing, TURNS)
        assert counting.characters == 2
    assert len(nothing) == 0


def test_other_rules_directions_and_surfaces_never_meet_an_old_outcome() -> None:
    scanned = ScannedTexts(100, 10**6)
    lenient, strict = of_terms({"大麻": "flag"}), of_terms({"大麻": "block"})
    lenient.version, strict.version = "1", "2"
    assert scanned.scan(lenient, "大麻", "prompt").action.value == "flag"
    assert scanned.scan(strict, "大麻", "prompt").action.value == "block"
    assert scanned.scan(lenient, "大麻", "prompt").action.value == "flag"
    assert scanned.scan(lenient, "\\u5927\\u9ebb", "prompt", "json").findings
    assert scanned.scan(lenient, "大麻", "output").findings
    assert scanned.scan(lenient, "大麻", "prompt", "text", ("personal_info",)) is CLEAN
    assert len(scanned) == 5


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    rules = of_terms({"大麻": "mask"})
    by_count = ScannedTexts(3, 10**6)
    for number in range(10):
        by_count.scan(rules, f"第{number}句", "prompt")
        by_count.scan(rules, "常用的一句", "prompt")
    assert len(by_count) == 3
    assert by_count.knows(rules, "常用的一句", "prompt")
    assert not by_count.knows(rules, "第1句", "prompt")
    by_size = ScannedTexts(1000, 4 * ENTRY_BYTES)
    for number in range(50):
        by_size.scan(rules, f"第{number}句", "prompt")
        by_size.scan(rules, f"大麻{number}" * 200, "prompt")
        assert by_size.size_bytes <= 4 * ENTRY_BYTES
    assert ScannedTexts(5, 10**6)._secret != ScannedTexts(5, 10**6)._secret, "hashes of two processes differ"


@settings(max_examples=200, deadline=None)
@given(st.text("abc", max_size=12), st.data())
def test_cuts_leave_what_lies_outside_of_them(text: str, data: st.DataObject) -> None:
    spans = data.draw(st.lists(st.tuples(st.integers(0, len(text)), st.integers(0, len(text))), max_size=4))
    cuts = [(min(span), max(span), "") for span in spans]
    inside = {at for start, end, _ in cuts for at in range(start, end)}
    assert without(text, cuts) == "".join(char for at, char in enumerate(text) if at not in inside)


def long(shipped: Pipeline, scanned: ScannedTexts, request: CheckedRequest) -> bool:
    places = list(request.places())
    return PromptScan(shipped, scanned, places, request.joined(), entry_of(request)).is_long()


def test_many_small_turns_are_as_long_as_what_is_scanned_of_them(shipped: Pipeline) -> None:
    scanned = ScannedTexts(10_000, 10**7)
    few, some = chat([("user", "好")] * 5), chat([("user", "好")] * 300)
    assert not long(shipped, scanned, few)
    assert long(shipped, scanned, some)
    assert long(shipped, scanned, chat([("assistant", chr(0x4E00 + at)) for at in range(100)]))


async def test_many_small_turns_that_were_scanned_before_are_looked_up(shipped: Pipeline) -> None:
    scanned, request = ScannedTexts(10_000, 10**7), chat([("user", "好")] * 200)
    await scan_prompt(shipped, request, entry_of(request), scanned, TURNS)
    assert not long(shipped, scanned, request)
    assert long(shipped, scanned, chat([("user", "好")] * 1001)), "look-ups have an end too"


async def test_texts_without_end_are_refused(shipped: Pipeline) -> None:
    schema = {"type": "object", "properties": {f"p{at}": {} for at in range(20_000)}}
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "response_format": schema}
    request = parse_request(CHAT, orjson.dumps(body), max_choices=1)
    with pytest.raises(InvalidRequest, match="more than 20000 texts"):
        await scan_prompt(shipped, request, entry_of(request), ScannedTexts(10, 10**6), TURNS)

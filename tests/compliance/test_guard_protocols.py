"""Guard protocols: what is asked, how strictly answers are read, and that every category is one of the 31 risks."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from compliance.guards.answer import GuardAnswerError
from compliance.guards.build import PROTOCOLS, build_guards
from compliance.guards.guard import Guard
from compliance.guards.pieces import LONGEST, Pieces
from compliance.guards.risks import load_risks
from compliance.guards.turns import Turn, prompt_turns
from compliance.taxonomy import load_taxonomy
from compliance.verdict import Action, RulesError
from configs.schema import GuardActions, GuardSettings
from tests.conftest import ROOT, read_cases

ANSWERS = read_cases("guard_answers.jsonl")
REQUESTS = read_cases("guard_requests.jsonl")
TAXONOMY = load_taxonomy(ROOT / "configs" / "taxonomy.yaml")


def guard(protocol: str, **fields: object) -> Guard:
    settings = GuardSettings.model_validate(
        {"name": "g", "protocol": protocol, "url": "http://127.0.0.1:1", "model": "m"} | fields
    )
    return build_guards([settings])[0]


def chat(text: str) -> dict:
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case["id"])
def test_answers(case: dict) -> None:
    answer = case["json"] if "json" in case else chat(case["text"])
    protocol = PROTOCOLS[case["protocol"]]
    if "fails" in case:
        with pytest.raises(GuardAnswerError) as failure:
            protocol.parse(answer, case["direction"])
        assert case["fails"] in str(failure.value)
    else:
        read = protocol.parse(answer, case["direction"])
        assert (read.label, list(read.categories)) == (case["label"], case["categories"])


FRAGMENTS = (
    "safe", "unsafe", "S1", ",", "Safety: Safe", "Safety: Unsafe", "Categories: None", "Categories: Violent",
    "Refusal: No", "Safe", "\n", " ", "字",
)  # fmt: skip
SAFE = {
    ("qwen3guard", "prompt"): {"Safety: Safe\nCategories: None"},
    ("qwen3guard", "output"): {"Safety: Safe\nCategories: None\nRefusal: No"},
    ("llama_guard", "prompt"): {"safe"},
    ("llama_guard", "output"): {"safe"},
}


@examples(deadline=None)
@given(parts=st.lists(st.sampled_from(FRAGMENTS), max_size=6), asked=st.sampled_from(sorted(SAFE)))
def test_nothing_else_is_safe(parts: list[str], asked: tuple) -> None:
    text = "".join(parts)
    bare = "\n".join(line.strip() for line in text.strip().split("\n"))
    try:
        label = PROTOCOLS[asked[0]].parse(chat(text), asked[1]).label
    except GuardAnswerError:
        label = None
    assert (label == "safe") == (bare in SAFE[asked])


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case["id"])
def test_requests(case: dict) -> None:
    turns = prompt_turns(Turn(role, text) for role, text in case["said"])
    if "answer" in case:
        turns = (*turns, Turn("assistant", case["answer"]))
    one = guard(case["protocol"])
    one = replace(one, settings=one.settings.model_copy(update={"window_characters": case.get("window", 16_000)}))
    body = one.body(turns, case.get("fresh", len(turns[-1].text)))
    assert body["model"] == "m"
    if isinstance(case["sent"], str):
        assert body == {"model": "m", "input": case["sent"]}
    else:
        assert [[message["role"], message["content"]] for message in body["messages"]] == case["sent"]
        assert body["temperature"] == 0


LLAMA = guard("llama_guard")
said = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text(max_size=5)), max_size=8)


@examples(deadline=None)
@given(said=said, window=st.integers(1, 30))
def test_turns_alternate_and_nothing_said_last_is_lost(said: list[tuple], window: int) -> None:
    turns = prompt_turns(Turn(role, text) for role, text in said)
    one = replace(LLAMA, settings=LLAMA.settings.model_copy(update={"window_characters": window}))
    sent = one.body(turns, len(turns[-1].text))["messages"]
    assert [message["role"] for message in sent] == (["user", "assistant"] * len(sent))[: len(sent)]
    assert len(sent) % 2 == 1
    spoken = [text for _, text in said if text.strip()]
    assert not spoken or sent[-1]["content"].endswith(spoken[-1])
    if window == 30 and sum(map(len, spoken)) + 2 * len(spoken) <= 30:
        assert all(text in "".join(message["content"] for message in sent) for text in spoken)


@pytest.mark.parametrize("case", read_cases("guard_pieces.jsonl"), ids=lambda case: case["text"][:12] or "empty")
def test_pieces(case: dict) -> None:
    pieces = Pieces()
    spans = pieces.feed(case["text"]) + pieces.flush()
    assert [case["text"][start:end] for start, end in spans] == case["pieces"]


@examples(deadline=None)
@given(chunks=st.lists(st.text(alphabet="字a 。！？\n", max_size=300), max_size=6))
def test_pieces_do_not_depend_on_chunks(chunks: list[str]) -> None:
    whole, split = Pieces(), Pieces()
    text = "".join(chunks)
    spans = whole.feed(text) + whole.flush()
    assert list(itertools.chain.from_iterable(split.feed(one) for one in chunks)) + split.flush() == spans
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(0 < end - start <= LONGEST for start, end in spans)


def test_every_category_is_one_of_the_31_risks() -> None:
    risks = load_risks(ROOT / "configs" / "guards.yaml", PROTOCOLS, TAXONOMY)
    assert len(TAXONOMY.ids) == 31
    for name, protocol in PROTOCOLS.items():
        assert set(risks[name].categories) == set(protocol.categories)
        assert {one.risk for one in risks[name].categories.values()} <= TAXONOMY.ids


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data["llama_guard"]["categories"].pop("S9"), "llama_guard.categories.S9: missing"),
        (lambda data: data["llama_guard"]["categories"].update(S15={**RISK}), "llama_guard.categories.S15: no such"),
        (lambda data: data["qwen3guard"]["categories"]["PII"].update(risk="pii"), "unknown risk pii"),
        (lambda data: data["qwen3guard"]["unnamed"].update(severity="grave"), "qwen3guard.unnamed.severity"),
        (lambda data: data.pop("openai_moderation"), "openai_moderation: missing"),
    ],
)
def test_a_wrong_map_is_rejected_whole(change: object, says: str, tmp_path: Path) -> None:
    data = yaml.safe_load((ROOT / "configs" / "guards.yaml").read_text(encoding="utf-8"))
    change(data)  # type: ignore[operator]
    file = tmp_path / "guards.yaml"
    file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    with pytest.raises(RulesError) as wrong:
        load_risks(file, PROTOCOLS, TAXONOMY)
    assert says in wrong.value.en
    assert str(file) in wrong.value.zh


RISK = {"risk": "ip", "severity": "low", "en": "x", "zh": "x"}


def test_controversial_is_medium_and_follows_its_action() -> None:
    answer = chat("Safety: Controversial\nCategories: Violent, PII")
    for action in ("flag", "block"):
        one = guard("qwen3guard", actions=GuardActions(medium=action))  # type: ignore[arg-type]
        found = one.findings(answer, "prompt", 3, 9)
        assert [(f.risk, f.severity, f.action) for f in found] == [
            ("violence_porn", "medium", Action(action)),
            ("personal_info", "medium", Action(action)),
        ]
        assert {(f.start, f.end, f.scanner) for f in found} == {(3, 9, "guard")}
        assert [f.rule for f in found] == ["guard:g/Violent", "guard:g/PII"]


def test_unsafe_without_a_category_is_blocked() -> None:
    (found,) = guard("llama_guard").findings(chat("unsafe"), "output", 0, 1)
    assert (found.risk, found.severity, found.action) == ("other_illegal", "high", Action.block)


@pytest.mark.parametrize("url", ["http://g:1", "http://g:1/", "http://g:1/v1", "http://g:1/v1/"])
def test_an_address_with_or_without_v1(url: str) -> None:
    assert guard("llama_guard", url=url).url == "http://g:1/v1/chat/completions"
    assert guard("openai_moderation", url=url).url == "http://g:1/v1/moderations"


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "guard-models.md").read_text(encoding="utf-8")
    table = page[page.index("## Settings of a guard") : page.index("## Protocols")]
    assert [name for name in GuardSettings.model_fields if f"`{name}`" not in table] == []

"""The free check: OpenAI's shape, the 31 risks, spans and reasons, its own limits, and a record of each request."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from compliance.guards.openai_moderation import CATEGORIES
from compliance.taxonomy import load_taxonomy
from compliance.verdict import Action, Finding, RulesError
from configs.schema import ModerationSettings
from gateway.limits.places import Places
from gateway.moderation_categories import load_categories, shipped_categories
from gateway.moderations import Moderations
from gateway.prompt import INLINE_CHARS
from gateway.record import RequestEntry
from gateway.scan_turns import all_of
from gateway.surfaces.moderations import Texts
from tests.compliance.helpers import of_terms
from tests.conftest import ROOT, read_cases
from tests.gateway.conftest import Faulty, wait_ready

TAXONOMY = load_taxonomy(ROOT / "configs" / "taxonomy.yaml")


def check(faulty: Faulty, given: Any, **fields: Any) -> httpx.Response:
    return faulty.client.post("/v1/moderations", json={"input": given} | fields)


def only_result(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    (result,) = response.json()["results"]
    return dict(result)


@pytest.mark.parametrize("case", read_cases("moderations.jsonl"), ids=lambda case: case["id"])
def test_a_text(case: dict[str, Any], faulty: Faulty) -> None:
    fields = {"opcgate_direction": case["direction"]} if "direction" in case else {}
    result = only_result(check(faulty, case["input"], **fields))
    assert {name for name, holds in result["categories"].items() if holds} >= set(case["true"])
    assert result["flagged"] == bool(case["true"])
    if case["found"] is not None:
        given = case["input"]
        text = given if isinstance(given, str) else "\n".join(part["text"] for part in given)
        assert [[one["type"], text[one["start"] : one["end"]]] for one in result["findings"]] == case["found"]
        assert result["released"] == case["released"]
        assert {name for name, holds in result["categories"].items() if holds} == set(case["true"])


@pytest.mark.parametrize("case", read_cases("moderations_bad.jsonl"), ids=lambda case: case["id"])
def test_a_bad_request(case: dict[str, Any], faulty: Faulty) -> None:
    response = faulty.client.post("/v1/moderations", json=case["body"])
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, case["param"]), error
    assert case["says"] in error["message"]


def test_the_shape_is_openais_and_more(faulty: Faulty) -> None:
    response = check(faulty, ["你好", "本店出售冰毒"], model="omni-moderation-latest")
    answer = response.json()
    assert set(answer) == {"id", "model", "results"}
    assert answer["id"] == "modr-" + response.headers["x-request-id"].removeprefix("req_")
    names = {*CATEGORIES, *(risk.id for risk in TAXONOMY.risks)}
    assert [one["flagged"] for one in answer["results"]] == [False, True]
    for result in answer["results"]:
        for table in ("categories", "category_scores", "category_applied_input_types"):
            assert set(result[table]) == names
        assert all(isinstance(one, bool) for one in result["categories"].values())
        assert all(0 <= one <= 1 for one in result["category_scores"].values())
        assert result["category_applied_input_types"]["sexual/minors"] == []
        assert result["category_applied_input_types"]["sexual"] == ["text"]
        assert result["rules"]
    (found,) = answer["results"][1]["findings"]
    explained = {"start", "end", "type", "risk", "severity", "scanner", "rule", "why", "action", "folding"}
    assert set(found) == explained
    assert answer["results"][1]["category_scores"]["other_illegal"] == 1.0


def test_the_python_sdk_reads_it(faulty: Faulty) -> None:
    client = openai.OpenAI(base_url=f"{faulty.url}/v1", api_key=faulty.key, max_retries=0)
    answer = client.moderations.create(input=["你好", "本店出售冰毒"], model="omni-moderation-latest")
    assert [one.flagged for one in answer.results] == [False, True]
    assert answer.results[1].categories.illicit
    assert answer.results[1].categories.self_harm_intent is False
    assert answer.results[1].category_scores.illicit == 1.0
    assert answer.results[1].category_applied_input_types.self_harm == ["text"]
    assert answer.results[1].model_dump()["findings"][0]["risk"] == "other_illegal"
    strict = client.moderations.create(input=[{"type": "text", "text": "你好"}])
    assert not strict.results[0].flagged
    with pytest.raises(openai.BadRequestError) as refused:
        client.moderations.create(input=[{"type": "image_url", "image_url": {"url": "data:,"}}])
    assert refused.value.param == "input.0.type"


def test_a_key_is_needed(faulty: Faulty) -> None:
    assert httpx.post(f"{faulty.url}/v1/moderations", json={"input": "x"}).status_code == 401
    assert faulty.client.get("/v1/moderations").status_code == 405


def test_no_node_is_needed(faulty: Faulty) -> None:
    faulty.engine.up = False
    wait_ready(faulty.client, ready=False)
    assert only_result(check(faulty, "本店出售冰毒"))["flagged"]


def test_a_request_is_recorded_without_its_text_and_has_no_consequences(faulty: Faulty) -> None:
    for _ in range(6):  # more than the shipped rule on repeated violations bears
        response = check(faulty, "本店出售冰毒，致电13800138000", opcgate_direction="prompt")
        assert response.status_code == 200
    with sqlite3.connect(faulty.database) as database:
        database.row_factory = sqlite3.Row
        query = "SELECT * FROM requests WHERE id = ?"
        row = dict(database.execute(query, (response.headers["x-request-id"],)).fetchone())
    assert (row["endpoint"], row["outcome"], row["model"], row["node"]) == ("moderations", "checked", None, None)
    assert row["violation"] is None
    assert {one["where"] for one in json.loads(row["findings"])} == {"input"}
    assert row["rules_version"] == only_result(response)["rules"]
    kept = json.dumps(row, ensure_ascii=False, default=str)
    assert "冰毒" not in kept
    assert "13800138000" not in kept
    text = httpx.get(f"{faulty.url}/metrics").text
    assert 'opcgate_findings_total{action="block",direction="check",risk="other_illegal"}' in text


def test_a_long_text_is_checked_and_one_too_long_is_refused(faulty: Faulty) -> None:
    text = "轻便耐用，适合露营。" * 3000 + "出售冰毒"
    assert len(text) > INLINE_CHARS
    result = only_result(check(faulty, text))
    assert result["findings"][-1]["end"] == len(text)
    response = check(faulty, "好" * 200_001)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "input")


def moderations(**fields: Any) -> Moderations:
    return Moderations(shipped_categories(), ModerationSettings(), Places(1), **fields)


def judged(one: Moderations, text: str, terms: dict[str, str]) -> dict[str, Any]:
    entry = RequestEntry(id="r", endpoint="moderations", started_at=0.0, rules_version="v")
    (result,) = all_of(one._judged(of_terms(terms), Texts((("input", text),), "output", None), entry))
    return result


def test_a_classifier_is_heard_beside_the_rules() -> None:
    given = {"health_harm": 0.61, "disc_region": 0.2, "other_illegal": 0.1, "no_such_risk": 1.0}
    result = judged(moderations(scores=lambda _: given), "大麻", {"大麻": "flag"})
    scores = result["category_scores"]
    assert (scores["health_harm"], scores["self-harm"], scores["disc_region"], scores["hate"]) == (0.61, 0.61, 0.2, 0.2)
    assert scores["other_illegal"] == 1.0, "a rule's finding counts more than a low score"
    holds = {name for name, flag in result["categories"].items() if flag}
    assert holds == {"health_harm", "self-harm", "other_illegal", "illicit"}
    assert "no_such_risk" not in scores


@pytest.mark.parametrize(
    ("severity", "action", "score", "holds"),
    [
        ("high", "flag", 1.0, True),
        ("medium", "flag", 0.7, True),
        ("low", "flag", 0.4, False),
        ("low", "mask", 0.4, True),
        ("low", "block", 0.4, True),
    ],
)
def test_what_a_finding_counts(severity: Any, action: str, score: float, holds: bool) -> None:
    found = Finding(0, 1, "keyword", "terrorism", severity, "keywords", "x:1", "a term", Action(action))
    judgement = shipped_categories().judge([found], {})
    for name in ("terrorism", "illicit/violent", "violence"):
        assert (judgement.scores[name], judgement.flags[name]) == (score, holds)
    assert not judgement.flags["sexual"]


def test_places_of_its_own(faulty: Faulty) -> None:
    """A long text in every place: the check says 429 beyond its own limit, and a chat still has room."""
    text = "轻便耐用，适合露营。" * 15_000
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: check(faulty, text).status_code, range(24)))
    assert set(answers) <= {200, 429}
    assert 200 in answers
    assert check(faulty, "你好").status_code == 200, "places are given back"


BAD_FILES = [
    ("harassment: {risks: [reputation", "harassment: {risks: [nothing", "harassment"),
    ("  sexual/minors:", "  sexual/adults:", "sexual"),
    ("flag_at: 0.5", "flag_at: 5", "flag_at"),
    ("low: 0.4", "lo: 0.4", "severity_scores"),
    (", low: 0.4", "", "severity_scores.low"),
]


@pytest.mark.parametrize(("old", "new", "names"), BAD_FILES, ids=[one[2] for one in BAD_FILES])
def test_a_bad_file_is_rejected_whole(old: str, new: str, names: str, tmp_path: Path) -> None:
    text = (ROOT / "configs" / "moderation_categories.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "categories.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(RulesError, match=names):
        load_categories(path, TAXONOMY)

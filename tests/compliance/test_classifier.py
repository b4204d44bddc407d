"""The risk classifier: quality on tables written apart from its data, exact screening, the recipe in miniature."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import configs
from compliance.classifier.artefact import SHIPPED, Artefact, read_artefact, rounded, write_artefact
from compliance.classifier.cli import classifier as app
from compliance.classifier.model import NEXT, RiskClassifier
from compliance.classifier.recipe.blocks import DATA, load_blocks
from compliance.classifier.recipe.build import build, evaluate
from compliance.classifier.recipe.features import ngrams
from compliance.classifier.recipe.fit import Corpus, Recipe
from compliance.classifier.recipe.gate import Gating
from compliance.classifier.recipe.measure import Scores
from compliance.classifier.recipe.sentences import Counts
from compliance.classifier.recipe.tables import read_table
from compliance.classifier.recipe.training import Penalty
from compliance.classifier.recipe.weights import Schedule
from compliance.sentences import MAX_SENTENCE, sentence_ends
from compliance.taxonomy import load_taxonomy
from compliance.unicode import fold
from compliance.verdict import RulesError
from tests.compliance.helpers import CASES, read_cases

HARMFUL = CASES / "classifier_harmful.jsonl"
FRESH = CASES / "classifier_fresh.jsonl"
BENIGN = CASES / "classifier_benign.jsonl"
TAXONOMY = load_taxonomy(Path(configs.__file__).parent / "taxonomy.yaml")
CAUGHT = 0.69  # shares of harmful sentences that are reported, a little below what was measured
CAUGHT_FRESH = 0.50
MINIATURE = Recipe(
    training=Counts(harmful=12, near_miss=12, ordinary=30),
    held_out=Counts(harmful=4, near_miss=4, ordinary=8),
    least_sentences=2,
    schedule=Schedule(rounds=1, batch=64),
    gate=Gating(Penalty(l1=1e-6, per_length=(1.0, 1.0), common=0.0), steps=10, least_weight=0.001),
)
TABLES = ("classifier_harmful", "classifier_benign", "classifier_fresh")
TEXTS = [fold(row["text"]) for name in TABLES for row in read_cases(name)]


@pytest.fixture(scope="module")
def shipped() -> RiskClassifier:
    return RiskClassifier.load(SHIPPED)


@pytest.fixture(scope="module")
def artefact() -> Artefact:
    return read_artefact(SHIPPED)


@pytest.fixture(scope="module")
def harmful(shipped: RiskClassifier) -> Scores:
    return evaluate(shipped, [HARMFUL])


def test_every_risk_of_the_taxonomy_is_judged(shipped: RiskClassifier) -> None:
    assert set(shipped.risks) == TAXONOMY.ids
    assert set(shipped.scores("今天天气真好")) == TAXONOMY.ids


def test_tables_cover_every_risk() -> None:
    for name in ("classifier_harmful", "classifier_fresh"):
        rows = read_cases(name)
        assert all(sum(row.get("risk") == risk for row in rows) >= 10 for risk in TAXONOMY.ids)
    assert len(read_cases("classifier_benign")) >= 400


def test_harm_is_found(harmful: Scores) -> None:
    assert harmful.caught / harmful.harmful >= CAUGHT
    assert harmful.hit / harmful.carried >= CAUGHT - 0.02


def test_harm_is_found_in_the_later_table(shipped: RiskClassifier) -> None:
    fresh = evaluate(shipped, [FRESH])
    assert fresh.caught / fresh.harmful >= CAUGHT_FRESH
    assert fresh.false_alarms / fresh.harmless <= 0.01


def test_reported_risks_are_the_right_ones(harmful: Scores) -> None:
    assert harmful.hit / sum(one.hit + one.wrong_other for one in harmful.per_risk) >= 0.90


@pytest.mark.parametrize(
    ("table", "most"),
    [("classifier_benign", 0.015), ("ordinary_business", 0.003), ("ordinary", 0.0), ("ordinary_independent", 0.005)],
)
def test_talk_about_crime_and_business_passes(shipped: RiskClassifier, table: str, most: float) -> None:
    scores = evaluate(shipped, [CASES / f"{table}.jsonl"])
    assert scores.false_alarms / scores.harmless <= most


def _by_hand(artefact: Artefact, text: str) -> list[tuple[str, float]]:
    """The model as the card states it, without an automaton: every n-gram looked for in every place."""
    gate = sum(
        artefact.gate[i] * sum(text.startswith(feature, at) for at in range(len(text)))
        for i, feature in enumerate(artefact.features)
        if artefact.gate[i] and feature in text
    )
    if gate < 1.0:
        return []
    scores, harm = _scores_by_hand(artefact, text)
    if harm < artefact.threshold[scores.argmax()]:
        return []
    found = [(artefact.risks[i], score) for i, score in enumerate(scores) if score >= NEXT * scores.max()]
    return sorted(found, key=lambda one: -one[1])


def _scores_by_hand(artefact: Artefact, text: str) -> tuple[np.ndarray, float]:
    """Every risk's score, and the log-odds of harm."""
    rows = [i for i, feature in enumerate(artefact.features) if feature in text]
    margins = artefact.bias + artefact.columns()[rows].sum(axis=0, dtype=np.float64)
    harm = np.logaddexp.reduce(margins[:-1]) - margins[-1]
    top = margins[:-1].argmax()
    whole = 1 / (1 + np.exp(-artefact.slope[0] * (harm - artefact.threshold[top])))
    return np.exp(margins[:-1] - margins[top]) * whole, harm


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(TEXTS), st.text(max_size=20)), max_size=3))
def test_screening_and_scoring_are_exact(artefact: Artefact, shipped: RiskClassifier, parts: list[str]) -> None:
    text = fold("".join(parts))[:MAX_SENTENCE]
    expected = _by_hand(artefact, text)
    assert [risk for risk, _ in shipped.judge(text)] == [risk for risk, _ in expected]
    assert [score for _, score in shipped.judge(text)] == pytest.approx([score for _, score in expected], abs=1e-4)


def test_the_gate_opens_for_harm_and_stays_shut_for_most_ordinary_text(shipped: RiskClassifier) -> None:
    def opened(table: str) -> float:
        texts = [fold(row["text"]) for row in read_cases(table)]
        return sum(shipped.gate(text) >= 1.0 for text in texts) / len(texts)

    assert opened("classifier_harmful") >= 0.85
    assert opened("ordinary_independent") <= 0.05


def test_scores_are_sums_over_the_ngrams(artefact: Artefact, shipped: RiskClassifier) -> None:
    texts = [text for text in TEXTS if sentence_ends(text) == [len(text)]]
    for text in texts[::7]:
        expected, harm = _scores_by_hand(artefact, text)
        np.testing.assert_allclose(list(shipped.scores(text).values()), expected, atol=1e-4)
        assert shipped.harm(text) == pytest.approx(harm, abs=1e-3)


def test_sentences_are_those_of_the_scanner(shipped: RiskClassifier) -> None:
    harm = "出售全国车主信息,姓名电话身份证都有"
    one, two = max(shipped.scores(harm).values()), max(shipped.scores("Hello there. " + harm).values())
    assert one == pytest.approx(two)


def test_reported_scores_are_those_of_the_moderation_view(shipped: RiskClassifier) -> None:
    text = "出售全国车主信息,姓名电话身份证都有"
    found = shipped.judge(text)
    assert found
    assert all(shipped.scores(text)[risk] == pytest.approx(score) for risk, score in found)


def test_a_long_text_is_judged_in_pieces(shipped: RiskClassifier) -> None:
    harm = "出售全国车主信息,姓名电话身份证都有"
    padded = "今天天气真好" * 100 + "。" + harm
    assert shipped.judge(padded[-MAX_SENTENCE:])
    assert max(shipped.scores(padded).values()) == pytest.approx(max(shipped.scores(harm).values()))
    assert shipped.judge("今" * MAX_SENTENCE + harm) == shipped.judge(harm)


@pytest.mark.parametrize("text", ["", "。", "\n\n", "\u200b", "a" * 5000])
def test_texts_without_sentences(shipped: RiskClassifier, text: str) -> None:
    assert shipped.judge(fold(text)) == []
    assert all(0.0 <= score <= 1.0 for score in shipped.scores(text).values())


def test_no_row_of_the_tables_is_training_data() -> None:
    made = Corpus(*load_blocks()).sentences("all", Recipe().training, Recipe().seed)
    assert not {one.text for one in made} & set(TEXTS)


def test_patterns_of_the_parts_are_disjoint() -> None:
    risks, ordinary = load_blocks()
    for blocks in (*risks, *ordinary):
        for name in ("do", "text", "say", "fine", "ask", "about"):
            whole = blocks.of(name, "all")
            parts = [set(blocks.of(name, part)) for part in ("train", "valid", "test")]
            if len(whole) >= 4:
                assert set().union(*parts) == set(whole)
                assert sum(map(len, parts)) == len(set(whole)), (blocks.name, name)


def test_the_recipe_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    digests = [
        build(tmp_path / f"{run}.safetensors", tmp_path / f"{run}.md", [], MINIATURE, lambda *_: None).digest
        for run in ("one", "two")
    ]
    assert digests[0] == digests[1]
    assert (tmp_path / "one.md").read_text("utf-8") == (tmp_path / "two.md").read_text("utf-8")


def test_the_card_is_of_the_shipped_file(shipped: RiskClassifier) -> None:
    card = (SHIPPED.parent / "card.md").read_text("utf-8")
    assert f"`{shipped.digest}`" in card
    assert all(f"| `{risk}` |" in card for risk in shipped.risks)
    assert SHIPPED.stat().st_size < 2_000_000


def _small(**change: Any) -> Artefact:
    weights = np.array([[0.0, 6.0, 0.0], [4.0, -2.0, 0.0]])
    made = rounded(("ip", "privacy"), ["偷拍", "高仿"], weights, np.array([-2.0, -2.0, 0.0]), np.array([1.0, 0.4]))
    return replace(made, **{"threshold": np.array([0.0, 0.5]), **change})


def test_a_written_file_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    write_artefact(path, _small())
    small = RiskClassifier.load(path)
    assert [risk for risk, _ in small.judge("偷拍")] == ["privacy"]
    assert [risk for risk, _ in small.judge("偷拍高仿")] == ["privacy", "ip"]
    assert small.judge("高仿") == []
    assert [risk for risk, _ in small.judge("高仿高仿高仿")] == ["ip"]


@pytest.mark.parametrize(
    "change",
    [
        {"weights": np.zeros((2, 2), np.int8)},
        {"weights": np.zeros((1, 3), np.int8)},
        {"scale": np.array([1.0, np.inf, 1.0])},
        {"bias": np.array([np.nan, 0.0, 0.0])},
        {"threshold": np.array([0.0])},
        {"gate": np.array([1.0])},
        {"gate": np.array([1.0, -1.0])},
        {"gate": np.array([0.0, 0.0])},
        {"slope": np.array([1.0, 1.0])},
        {"features": ("偷拍", "偷拍")},
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "bad.safetensors"
    write_artefact(path, _small(**change))
    with pytest.raises(RulesError, match=r"bad\.safetensors"):
        RiskClassifier.load(path)


def test_what_is_no_artefact_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    for data in (b"", b"nothing", SHIPPED.read_bytes()[:-100]):
        path.write_bytes(data)
        with pytest.raises(RulesError, match="opcgate classifier build"):
            RiskClassifier.load(path)
    with pytest.raises(RulesError, match="cannot be read"):
        RiskClassifier.load(tmp_path / "absent.safetensors")


def test_words_to_choose_from_stand_in_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "risks").mkdir()
    (tmp_path / "shared.yaml").write_text((DATA / "shared.yaml").read_text("utf-8"), "utf-8")
    (tmp_path / "risks" / "ip.yaml").write_text(yaml.safe_dump({"say": "{卖|送}{please}{盗版|}书"}), "utf-8")
    ((ip,), _) = load_blocks(tmp_path)
    made = {ip.write(ip.of("say", "all")[0], "all", random.Random(seed)) for seed in range(200)}
    assert {text[0] for text in made} == {"卖", "送"}
    assert {text.endswith("盗版书") for text in made} == {True, False}
    assert not any(char in text for text in made for char in "{|}")


def test_an_unknown_slot_is_named(tmp_path: Path) -> None:
    (tmp_path / "risks").mkdir()
    (tmp_path / "shared.yaml").write_text((DATA / "shared.yaml").read_text("utf-8"), "utf-8")
    (tmp_path / "risks" / "ip.yaml").write_text(yaml.safe_dump({"say": "卖{nonsense}"}), "utf-8")
    with pytest.raises(RulesError, match="nonsense"):
        load_blocks(tmp_path)


@pytest.mark.parametrize(
    ("row", "says"), [("nonsense", "not JSON"), ('{"risk": "ip"}', "text"), ('{"text": "x", "risk": "y"}', "risk")]
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, says: str) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text('{"text": "好"}\n' + row, "utf-8")
    with pytest.raises(RulesError, match=f"table.jsonl:2: .*{says}"):
        read_table(path, TAXONOMY.ids)


def test_evaluate_prints_every_risk() -> None:
    result = CliRunner().invoke(app, ["evaluate", "--table", str(HARMFUL), "--table", str(BENIGN)])
    assert result.exit_code == 0, result.output
    assert "other_illegal" in result.output
    assert CliRunner().invoke(app, ["evaluate", "--table", "absent.jsonl"]).exit_code == 2


def test_ngrams_do_not_reach_over_punctuation() -> None:
    assert ngrams("卖枪,好") == {"卖", "枪", "卖枪", "好"}

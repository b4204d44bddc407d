"""Named entities: golden tables of spans, ordinary text that holds none, and the same outcome at any cut."""

import random
import warnings
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.entities import ENTITY_TYPES
from compliance.entities.chinese_names import ChineseNames
from compliance.entities.finder import EntityFinder
from compliance.entities.judge import EntityJudge, entity_meanings
from compliance.entities.lattice import Candidate
from compliance.entities.model import load_model
from compliance.gate import Gate
from compliance.pipeline import Pipeline
from compliance.quality.measures import Span, strict_scores, total
from compliance.sentences import SentenceScanner
from compliance.verdict import Action
from tests.compliance.helpers import expected_spans, of_scanners, pii_scanner, read_cases, stream, text_of


@pytest.fixture(scope="module")
def scanner() -> SentenceScanner:
    """All entities, masked by their types' names."""
    meanings = entity_meanings(lambda type_, severity: Action.mask, lambda type_: f"[{type_}]")
    return SentenceScanner(EntityJudge(EntityFinder(load_model()), meanings), "strict")


def test_every_row_gives_exactly_its_spans(scanner: SentenceScanner) -> None:
    pipeline = of_scanners(scanner)
    wrong = []
    for row in read_cases("entities"):
        got = [(one.start, one.end, one.type) for one in pipeline.scan(row["text"], "prompt").findings]
        if got != expected_spans(row):
            wrong.append((row, got))
    assert not wrong


def test_a_surname_with_a_title_is_of_low_severity(scanner: SentenceScanner) -> None:
    found = of_scanners(scanner).scan("Dear Mr. Brown, John Smith called.", "prompt").findings
    assert [(one.type, one.severity) for one in found] == [("person_name", "low"), ("person_name", "medium")]


def test_spans_of_all_types_on_a_table_made_apart(scanner: SentenceScanner) -> None:
    """Rules and entities together; the figures are in docs/personal-information.md."""
    pipeline = of_scanners(pii_scanner({}), scanner)
    wanted: list[Span] = []
    found: list[Span] = []
    length = 0
    for row in read_cases("pii_spans"):
        spans = [Span(one.start, one.end, one.type) for one in pipeline.scan(row["text"], "prompt").findings]
        # One text after another: a span is told from those of other rows by where it stands.
        wanted += [Span(length + one.start, length + one.end, one.kind) for one in expected_spans(row)]
        found += [Span(length + one.start, length + one.end, one.kind) for one in without_inner(spans)]
        length += len(row["text"])
    scores = strict_scores(wanted, found)
    assert (total(scores.values()).f1 or 0) >= 0.98
    for type_ in ENTITY_TYPES:
        assert (scores[type_].f1 or 0) >= 0.96, type_


def without_inner(spans: Sequence[Span]) -> list[Span]:
    """Of spans of one type that overlap only the longest stays: two scanners may find the same value."""
    kept: list[Span] = []
    for span in sorted(set(spans), key=lambda one: (one.start - one.end, one)):
        if not any(span.kind == other.kind and span.start < other.end and other.start < span.end for other in kept):
            kept.append(span)
    return kept


def test_ordinary_business_text_is_hardly_ever_taken_for_a_name(scanner: SentenceScanner) -> None:
    """People whom the text names in full (聂树斌案) count as right: no row says so, so they are named here."""
    pipeline = of_scanners(scanner)
    rows = read_cases("ordinary_business")
    named = ("林峰", "聂树斌", "辛普森", "陈胜", "吴广", "贾瑞", "项伯", "高启强")
    wrong = [
        row["id"]
        for row in rows
        for one in pipeline.scan(row["text"], "prompt").findings
        if one.type != "organization" and row["text"][one.start : one.end] not in named
    ]
    assert len(set(wrong)) <= 0.005 * len(rows), wrong


TEXTS = [row["text"] for row in read_cases("entities")]


@given(st.lists(st.sampled_from(TEXTS), max_size=4).map("\n".join), st.integers(1, 9))
def test_cutting_a_text_changes_nothing(scanner: SentenceScanner, text: str, size: int) -> None:
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    releases = stream(Gate([scanner], "text", 5.0), chunks)
    whole = of_scanners(scanner).scan(text, "prompt")
    assert text_of(releases) == whole.released
    assert tuple(one for release in releases for one in release.findings) == whole.findings


@given(st.text(alphabet="王李张阿·古丽路街号0123大学公司ab c.,()市区在的", max_size=200))
def test_any_text_gives_spans_that_lie_in_it_and_do_not_overlap(scanner: SentenceScanner, text: str) -> None:
    found = of_scanners(scanner).scan(text, "prompt").findings
    ends = [0]
    for one in found:
        assert ends[-1] <= one.start < one.end <= len(text)
        ends.append(one.end)


def test_the_shipped_policy_notes_names_in_prompts_only(pipeline: Pipeline) -> None:
    text = "张伟昨天去了杭州星河软件有限公司"
    prompt, answer = pipeline.scan(text, "prompt"), pipeline.scan(text, "output")
    assert [(one.type, one.action) for one in prompt.findings] == [
        ("person_name", Action.flag),
        ("organization", Action.flag),
    ]
    assert (prompt.released, answer.released, answer.findings) == (text, text, ())


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_entities_are_presidio_recognizers(language: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from compliance.pii.recognizers import registry

        recognizers = registry().get_recognizers(language=language, all_fields=True)
    entities = [one for one in recognizers if one.name == "opcgate.entities"]
    assert len(entities) == 1
    text = "问候。\n請聯繫張曼玉，电话见下。"
    found = entities[0].analyze(text, ["person_name"])
    assert [(text[one.start : one.end], one.entity_type) for one in found] == [("張曼玉", "person_name")]
    assert entities[0].analyze(text, ["address"]) == []


def test_the_glance_at_a_name_and_its_neighbours_lets_by_all_that_a_close_look_finds() -> None:
    """Weights that it must bound from above, and names among surnames met by any characters of names."""
    model = load_model()
    names = ChineseNames(model)
    chance = random.Random(3)
    signs = [*"的是为: \n,。我叫先生女士说", *chance.sample(sorted(model.second), 60), *"电话经理客户联系人收货"]
    surnames = [one for one in model.surnames if len(one) == 1]
    close = glance = 0
    for _ in range(20_000):
        size = chance.randrange(5)
        text = "".join(chance.choices(signs, k=size)) + chance.choice(surnames) + "".join(chance.choices(signs, k=5))
        found: list[Candidate] = []
        names._propose(text, size, text[size], found)
        likely = names._may_be_likely(text, size)
        assert likely or not found, text
        assert model.contexts.limit_before(text, size) >= model.contexts.before(text, size), text
        assert model.contexts.limit_after(text[size + 1]) >= model.contexts.after(text, size + 1), text
        close += bool(found)
        glance += likely
    assert 0 < close < glance < 20_000

"""The generated text: reproducible, true to its own requests, and free of the evaluation's prompts."""

import re
from functools import cache

import pytest

from models.starter.balance import balanced_samples
from models.starter.chat import Sample
from models.starter.corpus import samples
from models.starter.evaluate import is_refusal
from models.starter.polish import final_samples, polish_samples
from models.starter.recipe import Recipe
from models.starter.tables import read_tables


@cache
def training_text() -> tuple[Sample, ...]:
    """Everything that the starter's tokenizer and weights have seen."""
    recipe = Recipe()
    return (
        *samples(recipe.seed, recipe.samples),
        *samples(recipe.seed + 1, recipe.tokenizer_samples),
        *polish_samples(recipe.seed + 2, recipe.second_stage_samples),
        *final_samples(recipe.seed + 3, recipe.third_stage_samples),
        *final_samples(recipe.seed + 4, recipe.fourth_stage_samples),
        *balanced_samples(recipe.seed + 5, recipe.fifth_stage_samples),
    )


def test_same_seed_gives_the_same_samples() -> None:
    assert list(samples(3, 300)) == list(samples(3, 300))
    assert list(samples(3, 300)) != list(samples(4, 300))
    assert list(polish_samples(3, 300)) == list(polish_samples(3, 300))
    assert list(balanced_samples(3, 300)) == list(balanced_samples(3, 300))
    assert list(final_samples(3, 300)) == list(final_samples(3, 300))


def test_every_kind_and_language_occurs() -> None:
    some = list(samples(1, 2000))
    assert {s.kind for s in some} == {"copy", "refusal", "talk", "json", "tool"}
    said = " ".join(m.content for s in some for m in s.messages)
    assert all(word in said for word in ("文案", "description", "descrição"))


def test_no_reference_stays_unfilled() -> None:
    for sample in (*samples(2, 2000), *polish_samples(2, 2000), *final_samples(2, 2000), *balanced_samples(2, 2000)):
        for message in sample.messages:
            assert not re.search(r"\{[A-Za-z_]+\}", message.content), message


def test_answers_to_copy_requests_repeat_what_was_asked() -> None:
    items = 0
    for sample in samples(5, 2000):
        if sample.kind == "copy":
            asked, said = " ".join(sample.prompts), sample.messages[-1].content
            for found in re.finditer(r"^\d\. (.+?) (?:——|-) ", said, re.MULTILINE):
                assert found.group(1) in asked, sample
                items += 1
    assert items > 1000


def test_refusals_and_only_refusals_refuse() -> None:
    for sample in (*samples(6, 2000), *polish_samples(6, 2000), *final_samples(6, 2000), *balanced_samples(6, 2000)):
        assert is_refusal(sample.messages[-1].content) == (sample.kind == "refusal"), sample


def test_no_evaluation_prompt_is_in_the_training_text() -> None:
    seen = {p.strip().casefold() for s in training_text() for p in s.prompts}
    tables = read_tables()
    for case in (*tables.in_domain, *tables.harmful, *tables.ordinary):
        assert case.prompt.strip().casefold() not in seen, case.id


def test_no_product_with_its_features_is_in_the_training_text() -> None:
    prompts = [p.casefold() for s in training_text() for p in s.prompts]
    for case in read_tables().in_domain:
        features = [one.casefold() for one in case.features]
        product = case.product.casefold()
        with_product = [p for p in prompts if product in p]
        assert not any(all(one in p for one in features) for p in with_product), case.id


def test_the_tables_are_large_enough() -> None:
    tables = read_tables()
    assert len(tables.in_domain) >= 60
    assert len(tables.harmful) >= 40
    everything = (*tables.in_domain, *tables.harmful, *tables.ordinary)
    assert len({c.id for c in everything}) == len({c.prompt for c in everything}) == len(everything)


@pytest.mark.parametrize("field", ["product", "features"])
def test_domain_rows_ask_for_what_their_prompt_says(field: str) -> None:
    for case in read_tables().in_domain:
        parts = case.features if field == "features" else (case.product,)
        assert all(part.casefold() in case.prompt.casefold() for part in parts), case.id

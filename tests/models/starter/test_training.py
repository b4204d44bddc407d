"""The recipe in miniature: it runs, learns, and comes out the same twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.starter.build import BASE_DIR, build_starter
from models.starter.drills import drills
from models.starter.manifest import file_digests
from models.starter.network import new_network
from models.starter.recipe import Recipe
from models.starter.training import batch_loss

TINY = replace(
    Recipe(),
    samples=160,
    drills=20,
    second_stage_samples=40,
    third_stage_samples=40,
    fourth_stage_samples=20,
    fourth_stage_any_word_samples=20,
    fifth_stage_samples=20,
    fifth_stage_any_word_samples=10,
    tokenizer_samples=60,
    vocabulary=1024,
    hidden=128,
    layers=3,
    feed_forward=96,
    heads=4,
    key_value_heads=4,
    head_size=32,
    tokens_per_batch=2048,
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, inside its optimizers
def test_a_tiny_build_learns_and_repeats(tmp_path: Path) -> None:
    losses: list[float] = []
    facts = build_starter(TINY, tmp_path / "a", lambda _step, _steps, loss: losses.append(loss))
    assert losses[-1] < losses[0]
    assert facts["recipe"] == TINY.digest()
    build_starter(TINY, tmp_path / "b", lambda _step, _steps, _loss: None)
    assert file_digests(tmp_path / "a") == file_digests(tmp_path / "b")


def test_the_digest_follows_the_settings() -> None:
    assert Recipe().digest() == Recipe().digest()
    assert Recipe().digest() != replace(Recipe(), seed=8).digest()


def test_fresh_weights_can_already_copy() -> None:
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE_DIR)
    lists = list(drills(tokenizer, 1, 20))
    losses = {}
    for copying in (True, False):
        network = new_network(replace(Recipe(), copying_heads=copying), tokenizer)
        with torch.inference_mode():
            losses[copying] = batch_loss(network, lists, tokenizer.pad_token_id, torch.device("cpu")).item()
    assert losses[True] < losses[False] - 1

"""Perplexity, KL and agreement of distributions small enough to work out by hand."""

import math

import pytest

from quantize.evaluate.rows import EvaluationError, Row
from quantize.evaluate.statistics import mean, perplexity
from quantize.evaluate.text import compare, encode
from tests.conftest import ROOT

STARTER = ROOT / "models" / "starter" / "artefacts" / "base"


def logits(*rows: tuple[float, ...]) -> object:
    import torch

    return torch.tensor(rows).log()


def test_two_tokens_over_a_vocabulary_of_two() -> None:
    base = logits((0.5, 0.5), (0.75, 0.25))
    variant = logits((0.25, 0.75), (0.75, 0.25))
    found = compare(base, variant, [0, 1])
    assert perplexity(found.base) == pytest.approx(math.sqrt(2 * 4))
    assert perplexity(found.variant) == pytest.approx(4.0)
    # 0.5 ln(0.5/0.25) + 0.5 ln(0.5/0.75) = 0.5 ln(4/3); the second token's distributions are equal.
    assert found.kl == pytest.approx((0.5 * math.log(4 / 3), 0.0), abs=1e-7)
    assert mean(found.kl) == pytest.approx(0.25 * math.log(4 / 3), abs=1e-7)
    assert found.agrees[1]


def test_a_padded_vocabulary_is_cut_to_the_shorter_one() -> None:
    import torch

    base = torch.zeros(1, 4)
    variant = torch.cat([torch.zeros(1, 4), torch.full((1, 4), 50.0)], dim=1)
    found = compare(base, variant, [2])
    assert found.kl == (0.0,)
    assert found.variant == pytest.approx((math.log(4),))


def test_only_the_answer_and_its_end_mark_are_scored() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(STARTER)
    chat = ({"role": "system", "content": "写文案"}, {"role": "user", "content": "你好"})
    encoded = encode(tokenizer, Row("1", chat, "您好，请讲。"))
    assert tokenizer.decode(encoded.ids[encoded.start :]) == "您好，请讲。<|im_end|>"
    assert tokenizer.decode(encoded.ids[: encoded.start]).endswith("<|im_start|>assistant\n")


def test_a_template_that_hides_the_answer_is_refused() -> None:
    class Tokenizer:
        def apply_chat_template(self, chat: list, **_: object) -> str:
            return f"{len(chat)} messages"

    with pytest.raises(EvaluationError, match="chat template"):
        encode(Tokenizer(), Row("1", ({"role": "user", "content": "x"},), "y"))

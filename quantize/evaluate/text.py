"""Perplexity, KL divergence and agreement on held-out answers, teacher forced, over the full vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from configs.strict import Strict
from quantize.evaluate.networks import Network
from quantize.evaluate.progress import Report
from quantize.evaluate.rows import EvaluationError, Row
from quantize.evaluate.statistics import Share, mean, percentile, perplexity


class TextMeasure(Strict):
    """Over the answer tokens of held-out chats. KL is that of the variant from the base, in nats per token.

    `agreement` counts the tokens for which both models' likeliest token is the same.
    """

    rows: int
    tokens: int
    base_perplexity: float
    variant_perplexity: float
    perplexity_ratio: float
    mean_kl_nats: float
    p99_kl_nats: float
    agreement: Share
    path: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of a chat and its answer; the answer begins at `start`."""

    ids: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True)
class Compared:
    """Per answer token: both models' negative log-likelihoods, the KL divergence, and whether they agree."""

    base: tuple[float, ...]
    variant: tuple[float, ...]
    kl: tuple[float, ...]
    agrees: tuple[bool, ...]


def measure_text(base: Network, variant: Network, rows: Sequence[Row], longest: int, report: Report) -> TextMeasure:
    """Run both networks over every answer that fits into `longest` tokens. Raises EvaluationError when none does."""
    compared: list[Compared] = []
    for done, row in enumerate(rows, 1):
        encoded = encode(base.tokenizer, row)
        if len(encoded.ids) <= longest:
            targets = encoded.ids[encoded.start :]
            compared.append(compare(_logits(base, encoded), _logits(variant, encoded), targets))
        report("perplexity, KL / 困惑度", done, len(rows))
    if not compared:
        raise EvaluationError(
            f"no held-out chat fits into the model's {longest} tokens; give shorter ones.", "留出对话均超出上下文长度。"
        )
    kl = [value for one in compared for value in one.kl]
    before = perplexity([value for one in compared for value in one.base])
    after = perplexity([value for one in compared for value in one.variant])
    return TextMeasure(
        rows=len(compared),
        tokens=len(kl),
        base_perplexity=before,
        variant_perplexity=after,
        perplexity_ratio=after / before,
        mean_kl_nats=mean(kl),
        p99_kl_nats=percentile(kl, 0.99),
        agreement=Share.counted([value for one in compared for value in one.agrees]),
        path=variant.path,
    )


def encode(tokenizer: Any, row: Row) -> Encoded:
    """The row as the model reads it, its answer with the mark that ends it. Raises EvaluationError."""
    chat, answer = list(row.chat), {"role": "assistant", "content": row.reference}
    # Templates of reasoning models open an empty thought in both texts, or in neither.
    shape: dict[str, Any] = {"tokenize": False, "enable_thinking": False}
    asked = str(tokenizer.apply_chat_template(chat, add_generation_prompt=True, **shape))
    # What follows the end mark is the template's, not the model's.
    whole = str(tokenizer.apply_chat_template([*chat, answer], **shape)).rstrip()
    if not whole.startswith(asked):
        raise EvaluationError(
            "the chat template writes a finished answer otherwise than it opens one, so answers can't be cut out.",
            "模型的对话模板无法切分出回答部分。",
        )
    head = tokenizer.encode(asked, add_special_tokens=False)
    tail = tokenizer.encode(whole[len(asked) :], add_special_tokens=False)
    return Encoded((*head, *tail), len(head))


def compare(base_logits: Any, variant_logits: Any, targets: Sequence[int]) -> Compared:
    """Two matrices of logits, one row per token of `targets`, each over the full vocabulary."""
    import torch

    size = min(base_logits.shape[-1], variant_logits.shape[-1])  # a loader may pad the vocabulary
    base = torch.log_softmax(base_logits[:, :size].double(), -1)
    variant = torch.log_softmax(variant_logits[:, :size].double(), -1)
    chosen = torch.tensor(list(targets), device=base.device).unsqueeze(1)
    return Compared(
        base=tuple((-base.gather(1, chosen)).squeeze(1).tolist()),
        variant=tuple((-variant.gather(1, chosen)).squeeze(1).tolist()),
        # Rounding may give a divergence of -1e-17.
        kl=tuple((base.exp() * (base - variant)).sum(-1).clamp_min(0).tolist()),
        agrees=tuple((base.argmax(-1) == variant.argmax(-1)).tolist()),
    )


def _logits(model: Network, encoded: Encoded) -> Any:
    """The logits that predict the answer's tokens: each stands at the place before its token."""
    import torch

    with torch.inference_mode():
        ids = torch.tensor([encoded.ids], device=model.network.device)
        return model.network(input_ids=ids, use_cache=False).logits[0, encoded.start - 1 : -1]

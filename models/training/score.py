"""What an adapter is worth: the loss on held-out answers, and answers scored against references and keywords."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from models.starter.answering import LocalModel
from models.starter.encoding import Encoded
from models.starter.evaluate import is_refusal
from models.starter.training import make_batches
from models.training.rows import Chat
from models.training.run import padded

MOST_ANSWERS = 40
LONGEST_ANSWER = 256


@dataclass(frozen=True, slots=True)
class Scores:
    """Loss in nats per learned token; chrF between 0 and 100; `keywords` a share. None where no row asks for it."""

    loss: float
    chrf: float | None
    keywords: float | None

    def as_dict(self) -> dict[str, float]:
        """The scores that there are, rounded."""
        return {name: round(value, 4) for name, value in asdict(self).items() if value is not None}


def score(network: Any, tokenizer: Any, held_out: Sequence[Encoded], chats: Sequence[Chat], tokens: int) -> Scores:
    """Score a network on held-out rows; answers are greedy, for at most MOST_ANSWERS chats of each kind."""
    network.eval()
    loss = mean_loss(network, held_out, tokenizer.pad_token_id, tokens)
    model = LocalModel(tokenizer, network)
    asked = [c for c in chats if c.keywords]
    told = sorted((c for c in chats if c.answered and not c.tools), key=lambda c: c.prompt_digest)[:MOST_ANSWERS]
    return Scores(loss, _chrf(model, told), _keywords(model, asked))


def mean_loss(network: Any, data: Sequence[Encoded], pad: int, tokens: int) -> float:
    """Cross entropy per learned token over all rows, in nats."""
    import torch

    total, count = 0.0, 0
    with torch.inference_mode():
        for batch in make_batches(data, tokens, random.Random(0)):  # noqa: S311 - order only
            inputs = {name: value.to(network.device) for name, value in padded(batch, pad).items()}
            labels = inputs.pop("labels")
            logits = network(**inputs).logits[:, :-1].float()
            wanted = labels[:, 1:]
            total += torch.nn.functional.cross_entropy(
                logits.transpose(1, 2), wanted, ignore_index=-100, reduction="sum"
            ).item()
            count += int((wanted != -100).sum())
    return total / count


def holds(answer: str, keywords: Sequence[str]) -> bool:
    """Whether an answer is no refusal and holds every keyword, whatever its case and spaces; `a|b` wants either."""
    text = _plain(answer)
    return not is_refusal(answer) and all(any(_plain(k) in text for k in word.split("|")) for word in keywords)


def _plain(text: str) -> str:
    return "".join(text.split()).casefold()


def _keywords(model: LocalModel, chats: Sequence[Chat]) -> float | None:
    if not chats:
        return None
    answers = model.answer_chats([list(c.prompt) for c in chats], LONGEST_ANSWER)
    return sum(holds(a.text, c.keywords) for a, c in zip(answers, chats, strict=True)) / len(chats)


def _chrf(model: LocalModel, chats: Sequence[Chat]) -> float | None:
    if not chats:
        return None
    from sacrebleu import corpus_chrf

    references = [str(c.messages[len(c.prompt)]["content"] or "") for c in chats]
    longest = max(len(model.tokenizer.encode(text)) for text in references)
    # An answer far longer than any reference scores no better for its end.
    answers = model.answer_chats([list(c.prompt) for c in chats], min(LONGEST_ANSWER, longest + longest // 2 + 8))
    return float(corpus_chrf([a.text for a in answers], [references]).score)

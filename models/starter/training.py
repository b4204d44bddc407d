"""A short training loop: batches of similar length, Muon for matrices, AdamW for the rest."""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from models.starter.encoding import Encoded


@dataclass(frozen=True)
class Schedule:
    """How to train: sizes of batches, learning rates, the share of steps that warm up, and where to stop early."""

    tokens_per_batch: int
    learning_rate: float
    embedding_learning_rate: float
    warmup_share: float
    seed: int
    shards: int
    stop_after: int | None = None


def train(
    network: Any, data: Sequence[Encoded], schedule: Schedule, pad: int, report: Callable[[int, int, float], None]
) -> float:
    """Train on every item once; calls `report(step, steps, loss)` and returns the last smoothed loss."""
    with ThreadPoolExecutor(schedule.shards) as pool:
        return _train(network, data, schedule, pad, report, pool)


def _train(
    network: Any,
    data: Sequence[Encoded],
    schedule: Schedule,
    pad: int,
    report: Callable[[int, int, float], None],
    pool: Executor,
) -> float:
    import torch

    batches = make_batches(data, schedule.tokens_per_batch, random.Random(schedule.seed))
    optimizers = _optimizers(network, schedule)
    starts = [[group["lr"] for group in o.param_groups] for o in optimizers]
    smooth = 0.0
    network.train()
    last = min(len(batches), schedule.stop_after or len(batches))
    for step, batch in enumerate(batches[:last]):
        share = _rate_share(step, len(batches), schedule.warmup_share)
        for optimizer, rates in zip(optimizers, starts, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * share
        loss = _backward(network, batch, pad, pool, schedule.shards)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        smooth = loss if step == 0 else 0.95 * smooth + 0.05 * loss
        report(step + 1, last, smooth)
    network.eval()
    return smooth


def _backward(network: Any, batch: Sequence[Encoded], pad: int, pool: Executor, shards: int) -> float:
    """Gradients of the batch's mean loss, computed in shards of one thread each.

    Threads that meet once per step lose less to other work on the machine than threads that meet in every
    operation, and the sum's fixed order makes the weights independent of the number of cores.
    """
    import torch

    parameters = [p for p in network.parameters() if p.requires_grad]
    parts = [part for part in (batch[i::shards] for i in range(shards)) if part]
    whole = sum(sum(e.learn) for e in batch)

    def shard(part: Sequence[Encoded]) -> tuple[float, tuple[Any, ...]]:
        if parameters[0].device.type == "cpu":
            torch.set_num_threads(1)
        share = sum(sum(e.learn) for e in part) / whole
        loss = batch_loss(network, part, pad, parameters[0].device) * share
        return loss.item(), torch.autograd.grad(loss, parameters)

    results = list(pool.map(shard, parts))
    for parameter, *gradients in zip(parameters, *(g for _, g in results), strict=True):
        parameter.grad = sum(gradients[1:], start=gradients[0])
    return sum(loss for loss, _ in results)


def make_batches(data: Sequence[Encoded], tokens: int, rng: random.Random) -> list[list[Encoded]]:
    """Neighbours in length share a batch, so that little is padding; the batches come in random order."""
    order = list(data)
    rng.shuffle(order)
    batches: list[list[Encoded]] = []
    window = 4096
    for start in range(0, len(order), window):
        part: list[list[Encoded]] = []
        current: list[Encoded] = []
        for item in sorted(order[start : start + window], key=lambda e: len(e.ids)):
            if current and len(item.ids) * (len(current) + 1) > tokens:
                part.append(current)
                current = []
            current.append(item)
        part.append(current)
        rng.shuffle(part)
        batches += part
    return batches


def batch_loss(network: Any, batch: Sequence[Encoded], pad: int, device: Any) -> Any:
    """Cross entropy of the tokens to learn; padding sits at the right, where causal attention never looks."""
    import torch

    width = max(len(e.ids) for e in batch)
    ids = torch.tensor([[*e.ids, *([pad] * (width - len(e.ids)))] for e in batch], device=device)
    learn = torch.tensor([[*e.learn, *([False] * (width - len(e.ids)))] for e in batch], device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16_is_fast(device)):
        hidden = network.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
        logits = network.lm_head(hidden[:, :-1][learn[:, 1:]])
    return torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][learn[:, 1:]])


def bf16_is_fast(device: Any) -> bool:
    """Whether this device multiplies bfloat16 matrices natively."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported())


def _rate_share(step: int, steps: int, warmup_share: float) -> float:
    import math

    warm = max(1, int(steps * warmup_share))
    if step < warm:
        return (step + 1) / warm
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _optimizers(network: Any, schedule: Schedule) -> tuple[Any, ...]:
    import torch

    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    matrices = [p for name, p in trained if p.ndim == 2 and "embed" not in name and "lora_" not in name]
    rest = [p for name, p in trained if p.ndim != 2 or "embed" in name or "lora_" in name]
    adam = torch.optim.AdamW(rest, lr=schedule.embedding_learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    if not matrices:
        return (adam,)
    # Muon learns to copy from the prompt in a fraction of AdamW's steps at this size.
    muon = torch.optim.Muon(matrices, lr=schedule.learning_rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    return adam, muon

"""Weights by softmax regression: one class per risk and one for harmless text, over the n-grams of a sentence.

Most n-grams of a sentence are left out at random each time it is seen, so that no weight relies on the others: what
people write shares few n-grams with any pattern. One thread and a seed: the same sentences give the same weights.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import embedding_bag, log_softmax

from compliance.classifier.recipe.features import Incidence

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long to learn and how: `left_out` is the share of n-grams dropped. The rate falls to nothing."""

    rounds: int = 5
    batch: int = 512
    rate: float = 0.02
    left_out: float = 0.7


def fit_weights(
    rows: Incidence, labels: npt.NDArray[np.bool_], schedule: Schedule, seed: int, progress: Callable[[float], None]
) -> tuple[Floats, Floats]:
    """Weights (n-grams by classes) and bias (classes); the last class is harmless text."""
    torch.set_num_threads(1)
    random = torch.Generator().manual_seed(seed)
    target = torch.from_numpy(_classes(labels))
    weight = torch.zeros(rows.width, target.shape[1], requires_grad=True)
    bias = torch.zeros(target.shape[1], requires_grad=True)
    optimiser = torch.optim.Adam([weight, bias], lr=schedule.rate)
    steps = schedule.rounds * -(-rows.height // schedule.batch)
    done = 0
    for _ in range(schedule.rounds):
        for chosen in torch.split(torch.randperm(rows.height, generator=random), schedule.batch):
            for group in optimiser.param_groups:
                group["lr"] = schedule.rate * (1 - done / steps)
            columns, starts = _bags(rows, chosen.numpy())
            kept = torch.rand(len(columns), generator=random) >= schedule.left_out
            counts = kept.float() / (1 - schedule.left_out)
            margins = embedding_bag(columns, weight, starts, mode="sum", per_sample_weights=counts) + bias
            loss = -(target[chosen] * log_softmax(margins, 1)).sum(1).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            done += 1
            progress(done / steps)
    return weight.detach().numpy(), bias.detach().numpy()


def _classes(labels: npt.NDArray[np.bool_]) -> Floats:
    """A share for each class; a sentence of two risks is half of either."""
    whole = np.concatenate((labels, ~labels.any(axis=1, keepdims=True)), axis=1).astype(np.float32)
    shares: Floats = whole / whole.sum(axis=1, keepdims=True)
    return shares


def _bags(rows: Incidence, chosen: npt.NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
    """The n-grams of the chosen sentences in one row, and where each sentence's begin."""
    begins = rows.starts[chosen]
    sizes = rows.starts[chosen + 1] - begins
    offsets = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    places = np.repeat(begins - offsets, sizes) + np.arange(sizes.sum())
    return torch.from_numpy(rows.columns[places]), torch.from_numpy(offsets)

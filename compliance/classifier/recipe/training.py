"""Weights by logistic regression with an L1 penalty, one risk against the rest, all risks at once.

Full-batch FISTA on one thread: no randomness, so the same sentences give the same weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import embedding_bag

from compliance.classifier.recipe.features import Incidence

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Penalty:
    """What a weight costs: `l1` times a factor for the n-gram's length. One that speaks for harm costs `common` times
    its share of ordinary sentences more, because it would be found in clean text and make screening slow."""

    l1: float
    per_length: tuple[float, ...]
    common: float


@dataclass(frozen=True, slots=True)
class Costs:
    """What a unit of weight costs per feature, by its sign."""

    speaking_for: Floats
    speaking_against: Floats


def costs(features: Sequence[str], ordinary: Incidence, penalty: Penalty) -> Costs:
    """The features' costs; `ordinary` says which of them ordinary sentences have."""
    base = penalty.l1 * np.array([penalty.per_length[len(feature) - 1] for feature in features])
    share = np.bincount(ordinary.columns, minlength=ordinary.width) / ordinary.height
    return Costs((base * (1 + penalty.common * share)).astype(np.float32), base.astype(np.float32))


@dataclass(frozen=True, slots=True)
class Emphasis:
    """How much a sentence counts for a risk's weights: one that carries it, one of another risk; harmless ones 1."""

    carries: float
    other_risk: float


@dataclass(frozen=True, slots=True)
class Weights:
    """One column per risk."""

    weight: Floats
    bias: Floats


def train(
    rows: Incidence,
    labels: npt.NDArray[np.bool_],
    costs: Costs,
    emphasis: Emphasis,
    steps: int,
    progress: Callable[[int], None],
) -> Weights:
    """Minimise the weighted loss plus the weights' costs."""
    torch.set_num_threads(1)
    target = torch.from_numpy(labels).float()
    counts = _counts(labels, emphasis)
    spoken_for, spoken_against = (
        torch.from_numpy(cost)[:, None] for cost in (costs.speaking_for, costs.speaking_against)
    )
    forward, backward = _product(rows), _product(rows.transposed())
    step = 1.0 / _lipschitz(forward, backward, rows.width, float(counts.max()), len(target))
    weight = torch.zeros(rows.width, labels.shape[1])
    bias = torch.full((labels.shape[1],), -3.0)
    ahead, ahead_bias, momentum = weight, bias, 1.0
    for number in range(steps):
        error = (torch.sigmoid(forward(ahead) + ahead_bias) - target) * counts / len(target)
        moved = ahead - step * backward(error)
        new = torch.relu(moved - step * spoken_for) - torch.relu(-moved - step * spoken_against)
        new_bias = ahead_bias - step * error.sum(0)
        new_momentum = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        speed = (momentum - 1) / new_momentum
        ahead, ahead_bias = new + speed * (new - weight), new_bias + speed * (new_bias - bias)
        weight, bias, momentum = new, new_bias, new_momentum
        progress(number + 1)
    return Weights(weight.numpy(), bias.numpy())


def _counts(labels: npt.NDArray[np.bool_], emphasis: Emphasis) -> torch.Tensor:
    harmful = labels.any(axis=1, keepdims=True)
    return torch.from_numpy(
        np.where(labels, emphasis.carries, np.where(harmful, emphasis.other_risk, 1.0)).astype(np.float32)
    )


def _product(matrix: Incidence) -> Callable[[torch.Tensor], torch.Tensor]:
    columns, starts = torch.from_numpy(matrix.columns), torch.from_numpy(matrix.starts[:-1])
    return lambda dense: embedding_bag(columns, dense, starts, mode="sum")


def _lipschitz(
    forward: Callable[[torch.Tensor], torch.Tensor],
    backward: Callable[[torch.Tensor], torch.Tensor],
    width: int,
    count: float,
    size: int,
) -> float:
    """A bound of the loss's curvature, by power iteration."""
    vector = torch.ones(width, 1) / width**0.5
    norm = 1.0
    for _ in range(15):
        vector = backward(forward(vector))
        norm = float(vector.norm())
        vector = vector / norm
    return 1.1 * 0.25 * count * (norm / size + 1)

"""The gate before the classifier: few, rare n-grams that harmful sentences have and ordinary ones seldom."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from compliance.classifier.recipe.features import Incidence, stacked
from compliance.classifier.recipe.training import Costs, Emphasis, Penalty, train


@dataclass(frozen=True, slots=True)
class Gating:
    """How sparse the gate is, and the share of training sentences found harmful by the weights that must pass it."""

    penalty: Penalty = field(default=Penalty(l1=5e-6, per_length=(100.0, 1.0), common=1000.0))
    steps: int = 100
    least_weight: float = 0.1
    recall: float = 0.95


def fit_gate(harmful: Incidence, ordinary: Incidence, cost: Costs, gating: Gating) -> npt.NDArray[np.floating]:
    """What each n-gram adds to the screening sum, which opens the gate at 1; nothing counts against.

    Near misses take no part: they may pass, to be judged behind the gate.
    """
    rows = stacked(harmful, ordinary)
    labels = (np.arange(rows.height) < harmful.height)[:, None]
    only_for = Costs(cost.speaking_for, np.full_like(cost.speaking_against, np.inf))
    made = train(rows, labels, only_for, Emphasis(1.0, 1.0), gating.steps, lambda _: None).weight[:, 0]
    weight = np.where(made >= gating.least_weight, made, 0.0).astype(np.float64)
    running = np.concatenate(([0.0], np.cumsum(weight[harmful.columns])))
    sums = running[harmful.starts[1:]] - running[harmful.starts[:-1]]
    opens_at = max(float(np.quantile(sums, 1 - gating.recall)), gating.least_weight)
    return weight / opens_at

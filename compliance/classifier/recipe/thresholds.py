"""When to report a sentence, and how its harm becomes a score: chosen on sentences the training did not see."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Budget:
    """The share of held-out harmless sentences that may be reported: in all, and as any single risk.

    Most of them are near misses, which talk about the very acts; ordinary text is reported far less often.
    """

    all_risks: float
    one_risk: float


def choose_thresholds(harm: Floats, top: npt.NDArray[np.intp], harmless: Bools, risks: int, budget: Budget) -> Floats:
    """A threshold per risk from the log-odds of harm and the most probable risk of each sentence."""
    wrong = harm[harmless]
    shared = _exceeded_by(wrong, budget.all_risks, len(wrong))
    own = [_exceeded_by(wrong[top[harmless] == risk], budget.one_risk, len(wrong)) for risk in range(risks)]
    return np.maximum(shared, own)


def _exceeded_by(wrong: Floats, share: float, of: int) -> float:
    """The lowest threshold that at most this share reaches; no floor where there are fewer."""
    most = int(share * of)
    return float(np.nextafter(np.sort(wrong)[-most - 1], np.inf)) if len(wrong) > most else -np.inf


def choose_slope(beyond: Floats, carries: Bools, steps: int = 50) -> float:
    """The slope of the logistic curve through 0.5 at the threshold that fits best, by Newton's method.

    The targets are drawn in by a little, as Platt does, so that separable data have a finite answer.
    """
    positives, negatives = int(carries.sum()), int((~carries).sum())
    target = np.where(carries, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    slope = 1.0
    for _ in range(steps):
        probability = 1 / (1 + np.exp(-np.clip(slope * beyond, -30, 30)))
        gradient = (beyond * (probability - target)).sum()
        curvature = (beyond**2 * probability * (1 - probability)).sum() + 1e-6
        slope = max(0.1, slope - float(np.clip(gradient / curvature, -1.0, 1.0)))
    return slope

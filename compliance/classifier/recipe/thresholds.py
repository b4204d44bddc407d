"""When to report a risk, and how its scores become probabilities: chosen on sentences the training did not see."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Demand:
    """What a threshold must reach: precision against ordinary sentences, and a bound on the share of near misses
    that are reported. Floor and ceiling are log-odds: the patterns at hand are few beside what people write, so a
    risk that they part too well must not be reported lightly, nor one pattern among them silence a risk."""

    precision: float
    near_misses: float
    floor: float
    ceiling: float


def choose_threshold(harmful: Floats, ordinary: Floats, near_misses: Floats, demand: Demand) -> float:
    """The lowest threshold that meets the demand, else the ceiling, from one risk's log-odds of each kind."""
    for threshold in np.unique(np.clip(harmful, demand.floor, demand.ceiling)):
        found, wrong = (harmful >= threshold).sum(), (ordinary >= threshold).sum()
        tolerable = (near_misses >= threshold).mean() <= demand.near_misses if len(near_misses) else True
        if tolerable and found >= demand.precision * (found + wrong):
            return float(threshold)
    return demand.ceiling


def calibrate(margins: Floats, carries: Bools, steps: int = 50) -> tuple[float, float]:
    """Platt scaling: slope and offset of the logistic curve that fits best, found by Newton's method.

    The targets are drawn in by a little, as Platt does, so that separable data have a finite answer.
    """
    positives, negatives = int(carries.sum()), int((~carries).sum())
    target = np.where(carries, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.stack((margins, np.ones_like(margins)), axis=1).astype(np.float64)
    answer = np.array([1.0, 0.0])
    for _ in range(steps):
        probability = 1 / (1 + np.exp(-np.clip(design @ answer, -30, 30)))
        gradient = design.T @ (probability - target)
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design + 1e-6 * np.eye(2)
        answer = answer - np.clip(np.linalg.solve(curvature, gradient), -1.0, 1.0)
    return float(answer[0]), float(answer[1])

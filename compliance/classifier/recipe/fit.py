"""From sentences to an artefact, in the order in which it happens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from compliance.classifier.artefact import Artefact, sparse, without_idle_features
from compliance.classifier.recipe.blocks import Blocks, Part
from compliance.classifier.recipe.features import candidates, incidence
from compliance.classifier.recipe.gate import Gating, fit_gate
from compliance.classifier.recipe.sentences import Counts, Sentence, make_sentences
from compliance.classifier.recipe.thresholds import Demand, calibrate, choose_threshold
from compliance.classifier.recipe.training import Emphasis, Penalty, costs, train

Progress = Callable[[str, float], None]
"""Told the name of a stage and the share of it that is done."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every number that decides the weights."""

    seed: int = 7
    training: Counts = field(default=Counts(harmful=800, near_miss=1000, ordinary=4000))
    held_out: Counts = field(default=Counts(harmful=200, near_miss=300, ordinary=1500))
    least_sentences: int = 5  # that an n-gram must stand in to be a candidate
    penalty: Penalty = field(default=Penalty(l1=2e-6, per_length=(3.0, 1.0, 1.2, 1.5), common=300.0))
    emphasis: Emphasis = field(default=Emphasis(carries=4.0, other_risk=0.05))
    steps: int = 150
    least_weight: float = 0.05
    gate: Gating = field(default_factory=Gating)
    demand: Demand = field(default=Demand(precision=0.97, near_misses=0.01, floor=0.8, ceiling=1.2))


@dataclass(frozen=True, slots=True)
class Corpus:
    """All the blocks: the risks' and the ordinary ones."""

    risks: tuple[Blocks, ...]
    ordinary: tuple[Blocks, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(blocks.name for blocks in self.risks)

    def sentences(self, part: Part, counts: Counts, seed: int) -> list[Sentence]:
        return make_sentences(self.risks, self.ordinary, part, counts, seed)


def fit(corpus: Corpus, part: Part, recipe: Recipe, progress: Progress) -> Artefact:
    """Weights from the sentences of one part; thresholds are still to be chosen."""
    progress(f"sentences ({part})", 0.0)
    sentences = corpus.sentences(part, recipe.training, recipe.seed)
    texts = [one.text for one in sentences]
    features = candidates(texts, recipe.least_sentences)
    rows = incidence(texts, features)
    ordinary = corpus.sentences(part, replace(recipe.training, harmful=0, near_miss=0), recipe.seed)
    ordinary_texts = [one.text for one in ordinary]
    ordinary_rows = incidence(ordinary_texts, features)
    weights = train(
        rows,
        labels(sentences, corpus.ids),
        costs(features, ordinary_rows, recipe.penalty),
        recipe.emphasis,
        recipe.steps,
        lambda step: progress(f"weights ({part})", step / recipe.steps),
    )
    progress(f"gate ({part})", 0.0)
    harmful_rows = incidence([one.text for one in sentences if one.risks], features)
    gate = fit_gate(harmful_rows, ordinary_rows, costs(features, ordinary_rows, recipe.gate.penalty), recipe.gate)
    made = sparse(corpus.ids, features, weights.weight, weights.bias, recipe.least_weight)
    return without_idle_features(replace(made, gate=gate))


def with_thresholds(artefact: Artefact, corpus: Corpus, recipe: Recipe) -> Artefact:
    """Thresholds and calibration from the validation sentences."""
    counts, seed = recipe.held_out, recipe.seed
    sentences = corpus.sentences("valid", counts, seed)
    ordinary = corpus.sentences("valid", replace(counts, harmful=0, near_miss=0), seed)
    truth = labels(sentences, corpus.ids)
    harmless = ~truth.any(axis=1)
    score, score_ordinary = margins(artefact, sentences), margins(artefact, ordinary)
    thresholds, curves = [], []
    for column in range(len(corpus.ids)):
        of_risk = score[:, column]
        thresholds.append(
            choose_threshold(of_risk[truth[:, column]], score_ordinary[:, column], of_risk[harmless], recipe.demand)
        )
        curves.append(calibrate(of_risk, truth[:, column]))
    slope, offset = np.array(curves).T
    return replace(artefact, threshold=np.array(thresholds), slope=slope, offset=offset)


def labels(sentences: Sequence[Sentence], ids: Sequence[str]) -> npt.NDArray[np.bool_]:
    """A row per sentence, a column per risk."""
    return np.array([[risk in one.risks for risk in ids] for one in sentences]).reshape(len(sentences), len(ids))


def margins(artefact: Artefact, sentences: Sequence[Sentence]) -> npt.NDArray[np.floating]:
    """The log-odds that the stored weights give, a row per sentence."""
    rows = incidence([one.text for one in sentences], artefact.features)
    weights = artefact.weights()
    bounds = zip(rows.starts[:-1], rows.starts[1:], strict=True)
    return np.array([artefact.bias + weights[rows.columns[low:high]].sum(axis=0) for low, high in bounds])

"""From sentences to an artefact, in the order in which it happens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from compliance.classifier.artefact import Artefact, rounded
from compliance.classifier.recipe.blocks import Blocks, Part
from compliance.classifier.recipe.features import candidates, incidence
from compliance.classifier.recipe.gate import Gating, fit_gate
from compliance.classifier.recipe.sentences import Counts, Sentence, make_sentences
from compliance.classifier.recipe.thresholds import Budget, choose_slope, choose_thresholds
from compliance.classifier.recipe.training import costs
from compliance.classifier.recipe.weights import Schedule, fit_weights

Progress = Callable[[str, float], None]
"""Told the name of a stage and the share of it that is done."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every number that decides the weights."""

    seed: int = 7
    training: Counts = field(default=Counts(harmful=800, near_miss=1000, ordinary=4000))
    held_out: Counts = field(default=Counts(harmful=200, near_miss=300, ordinary=1500))
    least_sentences: int = 6  # that an n-gram must stand in to be a feature
    schedule: Schedule = field(default_factory=Schedule)
    gate: Gating = field(default_factory=Gating)
    budget: Budget = field(default=Budget(all_risks=0.003, one_risk=0.0004))


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
    truth = labels(sentences, corpus.ids)
    weights, bias = fit_weights(
        rows, truth, recipe.schedule, recipe.seed, lambda share: progress(f"weights ({part})", share)
    )
    progress(f"gate ({part})", 0.0)
    made = rounded(corpus.ids, features, weights, bias, np.zeros(len(features)))
    harmful = [one for one in sentences if one.risks]
    found = [one.text for one, harm in zip(harmful, _harm(margins(made, harmful)), strict=True) if harm > 0]
    plain = corpus.sentences(part, replace(recipe.training, harmful=0, near_miss=0), recipe.seed)
    ordinary = incidence([one.text for one in plain], features)
    gate = fit_gate(incidence(found, features), ordinary, costs(features, ordinary, recipe.gate.penalty), recipe.gate)
    return replace(made, gate=gate)


def with_thresholds(artefact: Artefact, corpus: Corpus, recipe: Recipe) -> Artefact:
    """Thresholds and slope from the validation sentences."""
    sentences = corpus.sentences("valid", recipe.held_out, recipe.seed)
    carries = np.array([bool(one.risks) for one in sentences])
    said = margins(artefact, sentences)
    harm, top = _harm(said), said[:, :-1].argmax(axis=1)
    thresholds = choose_thresholds(harm, top, ~carries, len(corpus.ids), recipe.budget)
    slope = choose_slope(harm - thresholds[top], carries)
    return replace(artefact, threshold=thresholds, slope=np.array([slope]))


def _harm(said: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    harm: npt.NDArray[np.floating] = np.logaddexp.reduce(said[:, :-1], axis=1) - said[:, -1]
    return harm


def labels(sentences: Sequence[Sentence], ids: Sequence[str]) -> npt.NDArray[np.bool_]:
    """A row per sentence, a column per risk."""
    return np.array([[risk in one.risks for risk in ids] for one in sentences]).reshape(len(sentences), len(ids))


def margins(artefact: Artefact, sentences: Sequence[Sentence]) -> npt.NDArray[np.floating]:
    """What the stored weights say, a row per sentence; the last column is for harmless text."""
    rows = incidence([one.text for one in sentences], artefact.features)
    weights = artefact.columns()
    bounds = zip(rows.starts[:-1], rows.starts[1:], strict=True)
    return np.array([artefact.bias + weights[rows.columns[low:high]].sum(axis=0) for low, high in bounds])

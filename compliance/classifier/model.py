"""The risk classifier: which of the 31 risks a sentence plainly carries. Small, offline, in two steps.

A gate first: n-grams that ordinary text seldom has, each with a positive weight. Where their sum stays below 1 nothing
is reported, and most sentences end here. Behind the gate every n-gram counts: for each risk, and for harmless text. How
much more probable all risks together are than none says whether anything is reported.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import ahocorasick_rs
import numpy as np

from compliance.classifier.artefact import Artefact, Floats, read_artefact
from compliance.classifier.bound import HarmBound
from compliance.sentences import MAX_SENTENCE, sentence_ends
from compliance.unicode import fold

NEXT = 0.6
"""A further risk is reported too when it is at least so probable, measured by the most probable one."""


class RiskClassifier:
    """Immutable and free of randomness; safe to share between threads."""

    def __init__(self, artefact: Artefact) -> None:
        self.risks = artefact.risks
        self.digest = artefact.digest
        weights = artefact.columns()
        self._weights = np.ascontiguousarray(weights[:, :-1] - weights[:, -1:])  # each risk against harmless text
        self._bias = (artefact.bias[:-1] - artefact.bias[-1]).astype(np.float64)
        self._threshold = artefact.threshold
        self._lowest_odds = float(np.exp(artefact.threshold.min()))
        self._bound = HarmBound(artefact.features, self._weights, self._bias, float(artefact.threshold.min()))
        self._slope = float(artefact.slope[0])
        self._row_of = {feature: row for row, feature in enumerate(artefact.features)}
        self._find = _finder(artefact.features)
        self._gate = {artefact.features[row]: float(artefact.gate[row]) for row in np.flatnonzero(artefact.gate)}
        self._screen = _finder(tuple(self._gate))

    @classmethod
    def load(cls, path: Path) -> "RiskClassifier":
        """Read an artefact; `RulesError` if it is missing, damaged or of another kind."""
        return cls(read_artefact(path))

    def judge(self, sentence: str) -> list[tuple[str, float]]:
        """The risks of a folded sentence with their scores, the strongest first; mostly none."""
        if len(sentence) > MAX_SENTENCE:
            return self._judge_pieces(sentence)
        if self.gate(sentence) < 1.0:
            return []
        hits = self._hits(sentence)
        return self._judge_hits(hits) if self._bound.may_reach(hits) else []

    def gate(self, folded: str) -> float:
        """What the gate's n-grams add up to, each as often as it stands there; at 1 it opens."""
        return sum(map(self._gate.__getitem__, self._screen(folded, overlapping=True)), 0.0)

    def harm(self, folded: str) -> float:
        """The log-odds that a folded sentence carries some risk, gate or no gate."""
        return float(np.log(self._odds(self._hits(folded)).sum()))

    def scores(self, text: str) -> dict[str, float]:
        """Scores from 0 to 1 of all risks, gate or no gate; of several sentences each risk's highest.

        The most probable risk of a sentence has 0.5 where it begins to be reported.
        """
        folded = fold(text)
        best = np.zeros(len(self.risks))
        start = 0
        for end in sentence_ends(folded) or [0]:
            best = np.maximum(best, self._scores(self._odds(self._hits(folded[start:end]))))
            start = end
        return dict(zip(self.risks, best.tolist(), strict=True))

    def _judge_pieces(self, text: str) -> list[tuple[str, float]]:
        best: dict[str, float] = {}
        for start in range(0, len(text), MAX_SENTENCE):
            for risk, score in self.judge(text[start : start + MAX_SENTENCE]):
                best[risk] = max(score, best.get(risk, 0.0))
        return sorted(best.items(), key=lambda found: (-found[1], found[0]))

    def _judge_hits(self, hits: set[str]) -> list[tuple[str, float]]:
        odds = self._odds(hits)
        harm = float(np.add.reduce(odds))
        if harm < self._lowest_odds or np.log(harm) < self._threshold[int(odds.argmax())]:
            return []
        scores = self._scores(odds)
        found = np.flatnonzero(scores >= NEXT * scores.max())
        return [(self.risks[i], float(scores[i])) for i in sorted(found, key=lambda i: (-scores[i], i))]

    def _hits(self, folded: str) -> set[str]:
        return set(self._find(folded, overlapping=True))

    def _odds(self, hits: set[str]) -> Floats:
        """How much more probable each risk is than harmless text."""
        rows = self._weights.take(np.fromiter(sorted(map(self._row_of.__getitem__, hits)), np.intp, len(hits)), 0)
        odds: Floats = np.exp(np.minimum(np.add.reduce(rows, 0) + self._bias, 500.0))
        return odds

    def _scores(self, odds: Floats) -> Floats:
        """The most probable risk gets all of what the harm comes to, the others their part of it."""
        top = int(odds.argmax())
        beyond = self._slope * (np.log(odds.sum()) - self._threshold[top])
        scores: Floats = odds / odds[top] / (1.0 + np.exp(-np.clip(beyond, -30.0, 30.0)))
        return scores


def _finder(features: Sequence[str]) -> Callable[..., list[str]]:
    """An automaton that says which n-grams a text holds: the n-grams themselves cost half of what their places do."""
    return ahocorasick_rs.AhoCorasick(features, store_patterns=True).find_matches_as_strings

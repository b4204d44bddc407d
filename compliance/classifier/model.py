"""The risk classifier: which of the 31 risks a sentence plainly carries. Small, offline, exact about its speed.

A sentence's score for a risk is a sum: the risk's bias and the weights of the character n-grams that stand in the
sentence. Most sentences are settled by screening: one automaton finds the n-grams that speak for a risk, and unless
their weights alone could lift some risk to its threshold nothing can, because all other weights are negative.
"""

import re
from pathlib import Path

import ahocorasick_rs
import numpy as np

from compliance.classifier.artefact import Artefact, Floats, read_artefact
from compliance.unicode import fold

MAX_SENTENCE = 256
"""Longer texts are scored in pieces of so many characters, because sums of weights grow with length."""

_SENTENCE = re.compile(rf"[^。!?;\n]{{1,{MAX_SENTENCE}}}[。!?;\n]?")
_ROUNDING = 1e-4  # sums in another order differ in their last digits: screening must not be the stricter one


class RiskClassifier:
    """Immutable and free of randomness; safe to share between threads."""

    def __init__(self, artefact: Artefact) -> None:
        self.risks = artefact.risks
        self.digest = artefact.digest
        self._bias = artefact.bias
        self._threshold = artefact.threshold
        self._slope = artefact.slope
        self._offset = artefact.offset
        self._weights = artefact.weights()
        self._find = ahocorasick_rs.AhoCorasick(artefact.features).find_matches_as_indexes
        lift = _lift(self._weights, artefact.threshold - artefact.bias)
        speaking = np.flatnonzero(lift)
        self._screen = ahocorasick_rs.AhoCorasick([artefact.features[i] for i in speaking]).find_matches_as_indexes
        self._lift: list[float] = lift[speaking].tolist()

    @classmethod
    def load(cls, path: Path) -> "RiskClassifier":
        """Read an artefact; `RulesError` if it is missing, damaged or of another kind."""
        return cls(read_artefact(path))

    def judge(self, sentence: str) -> list[tuple[str, float]]:
        """The risks of a folded sentence with their calibrated scores, the strongest first; mostly none."""
        if len(sentence) > MAX_SENTENCE:
            return self._judge_pieces(sentence)
        lift = self._lift
        total = 0.0
        for index, _, _ in self._screen(sentence, overlapping=True):
            total += lift[index]
        if total < 1.0 - _ROUNDING:
            return []
        return self._judge_fully(sentence)

    def scores(self, text: str) -> dict[str, float]:
        """Calibrated scores from 0 to 1 of all risks; of a text of several sentences each risk's highest."""
        pieces = sentences(fold(text)) or [""]
        margins = np.max([self._margins(piece) for piece in pieces], axis=0)
        return dict(zip(self.risks, self._calibrated(margins).tolist(), strict=True))

    def _judge_pieces(self, text: str) -> list[tuple[str, float]]:
        best: dict[str, float] = {}
        for start in range(0, len(text), MAX_SENTENCE):
            for risk, score in self.judge(text[start : start + MAX_SENTENCE]):
                best[risk] = max(score, best.get(risk, 0.0))
        return sorted(best.items(), key=lambda found: (-found[1], found[0]))

    def _judge_fully(self, sentence: str) -> list[tuple[str, float]]:
        """What `judge` says without screening."""
        margins = self._margins(sentence)
        found = np.flatnonzero(margins >= self._threshold)
        if not len(found):
            return []
        scores = self._calibrated(margins)
        return [(self.risks[i], float(scores[i])) for i in sorted(found, key=lambda i: (-scores[i], i))]

    def _margins(self, folded: str) -> Floats:
        hits = sorted({index for index, _, _ in self._find(folded, overlapping=True)})
        margins: Floats = self._bias + self._weights[hits].sum(axis=0)
        return margins

    def _calibrated(self, margins: Floats) -> Floats:
        return 1.0 / (1.0 + np.exp(-np.clip(self._slope * margins + self._offset, -30.0, 30.0)))


def sentences(folded: str) -> list[str]:
    """A folded text cut where the sentence scanner cuts: at 。 ! ? ; and line breaks, and after 256 characters."""
    return _SENTENCE.findall(folded)


def _lift(weights: Floats, distance: Floats) -> Floats:
    """For each n-gram the greatest share of a risk's distance to its threshold that it covers; 0 if of none.

    If the shares of all n-grams found stay below 1, no risk reaches its threshold.
    """
    share: Floats = np.maximum(weights, 0.0) / distance
    return np.asarray(share.max(axis=1))

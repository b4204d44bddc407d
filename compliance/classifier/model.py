"""The risk classifier: which of the 31 risks a sentence plainly carries. Small, offline, in two steps.

A gate first: a few thousand character n-grams that ordinary text seldom has, each with a positive weight. Where their
sum stays below 1 nothing is reported, and most sentences end here. Behind the gate every n-gram counts, for and
against: a sentence's score for a risk is the risk's bias and the sum of the weights of the n-grams that stand in it.
"""

import re
from pathlib import Path

import ahocorasick_rs
import numpy as np

from compliance.classifier.artefact import Artefact, Floats, read_artefact
from compliance.sentences import MAX_SENTENCE
from compliance.unicode import fold

# Longer texts are scored in pieces of MAX_SENTENCE characters, because sums of weights grow with length.
_SENTENCE = re.compile(rf"[^。!?;\n]{{1,{MAX_SENTENCE}}}[。!?;\n]?")


class RiskClassifier:
    """Immutable and free of randomness; safe to share between threads."""

    def __init__(self, artefact: Artefact) -> None:
        self.risks = artefact.risks
        self.digest = artefact.digest
        self._bias = artefact.bias.astype(np.float32)
        self._threshold = artefact.threshold.astype(np.float32)
        self._slope = artefact.slope
        self._offset = artefact.offset
        self._weights = artefact.weights()
        self._find = ahocorasick_rs.AhoCorasick(artefact.features).find_matches_as_indexes
        guarding = np.flatnonzero(artefact.gate)
        self._screen = ahocorasick_rs.AhoCorasick([artefact.features[i] for i in guarding]).find_matches_as_indexes
        self._gate: list[float] = artefact.gate[guarding].tolist()

    @classmethod
    def load(cls, path: Path) -> "RiskClassifier":
        """Read an artefact; `RulesError` if it is missing, damaged or of another kind."""
        return cls(read_artefact(path))

    def judge(self, sentence: str) -> list[tuple[str, float]]:
        """The risks of a folded sentence with their calibrated scores, the strongest first; mostly none."""
        if len(sentence) > MAX_SENTENCE:
            return self._judge_pieces(sentence)
        return self._judge_behind_gate(sentence) if self.gate(sentence) >= 1.0 else []

    def gate(self, folded: str) -> float:
        """What the gate's n-grams add up to, each as often as it stands there; at 1 it opens."""
        weights = self._gate
        total = 0.0
        for index, _, _ in self._screen(folded, overlapping=True):
            total += weights[index]
        return total

    def scores(self, text: str) -> dict[str, float]:
        """Calibrated scores from 0 to 1 of all risks, gate or no gate; of several sentences each risk's highest."""
        pieces = sentences(fold(text)) or [""]
        margins = np.max([self._margins(piece) for piece in pieces], axis=0)
        return dict(zip(self.risks, self._calibrated(margins).tolist(), strict=True))

    def _judge_pieces(self, text: str) -> list[tuple[str, float]]:
        best: dict[str, float] = {}
        for start in range(0, len(text), MAX_SENTENCE):
            for risk, score in self.judge(text[start : start + MAX_SENTENCE]):
                best[risk] = max(score, best.get(risk, 0.0))
        return sorted(best.items(), key=lambda found: (-found[1], found[0]))

    def _judge_behind_gate(self, sentence: str) -> list[tuple[str, float]]:
        margins = self._margins(sentence)
        reached = margins >= self._threshold
        if not reached.any():
            return []
        found = np.flatnonzero(reached)
        scores = self._calibrated(margins)
        return [(self.risks[i], float(scores[i])) for i in sorted(found, key=lambda i: (-scores[i], i))]

    def _margins(self, folded: str) -> Floats:
        hits = sorted({index for index, _, _ in self._find(folded, overlapping=True)})  # sums depend on the order
        margins: Floats = np.add.reduce(self._weights.take(np.array(hits, np.intp), 0), 0) + self._bias
        return margins

    def _calibrated(self, margins: Floats) -> Floats:
        return 1.0 / (1.0 + np.exp(-np.clip(self._slope * margins + self._offset, -30.0, 30.0)))


def sentences(folded: str) -> list[str]:
    """A folded text cut where the sentence scanner cuts: at 。 ! ? ; and line breaks, and after 256 characters."""
    return _SENTENCE.findall(folded)

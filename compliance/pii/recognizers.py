"""The detectors as Presidio recognizers. Importing this imports Presidio, so it is imported late.

They work in any `AnalyzerEngine` for zh and en; the pipeline asks them directly, one place at a time,
because Presidio's engine would run an NLP model over the whole text first.
"""

from collections.abc import Mapping, Sequence

from presidio_analyzer import AnalysisExplanation, EntityRecognizer, RecognizerRegistry, RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts

from compliance.entities.finder import EntityFinder
from compliance.entities.model import load_model
from compliance.entities.recognizer import NamedEntityRecognizer
from compliance.pii.catalog import DETECTORS
from compliance.pii.detector import Detector
from compliance.pii.prefilter import compile_prefilter
from compliance.unicode import Folder
from compliance.verdict import Severity

LANGUAGES = ("zh", "en")


class MainlandRecognizer(EntityRecognizer):  # type: ignore[misc]
    """One detector as a Presidio recognizer; its entity has the detector's type as name."""

    def __init__(self, detector: Detector, language: str = "zh") -> None:
        self._detector = detector
        self._prefilter = compile_prefilter((detector,))
        super().__init__(
            supported_entities=[detector.type], name=f"opcgate.{detector.rule}", supported_language=language
        )

    def load(self) -> None:
        """Nothing to load: the patterns are compiled with the detector."""

    def analyze(
        self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts | None = None
    ) -> list[RecognizerResult]:
        """All values in a raw text, by raw offsets."""
        if self._detector.type not in entities:
            return []
        folded = Folder().feed(text, final=True)
        results: list[RecognizerResult] = []
        for start, _ in self._prefilter.places(folded.text, 0):
            span = self._detector.find_at(folded.text, start)
            if span is None:
                continue
            first = span[0] if folded.starts is None else folded.starts[span[0]]
            last = span[1] if folded.ends is None else folded.ends[span[1] - 1]
            if not any(r.start <= first and last <= r.end for r in results):
                results.append(self._result(first, last))
        return results

    def judge(self, window: str, start: int) -> tuple[int, int, Severity] | None:
        """The value that begins at one place of a folded window: its span and severity."""
        span = self._detector.find_at(window, start)
        return None if span is None else (*span, self._detector.severity(window[span[0] : span[1]]))

    def _result(self, start: int, end: int) -> RecognizerResult:
        score = self._detector.strength / 100
        why = AnalysisExplanation(
            recognizer=self.name,
            original_score=score,
            pattern_name=self._detector.rule,
            textual_explanation=self._detector.why,
        )
        return RecognizerResult(self._detector.type, start, end, score, why)


def recognizers_for(detectors: Sequence[Detector]) -> Mapping[Detector, MainlandRecognizer]:
    """A recognizer for each detector."""
    return {detector: MainlandRecognizer(detector) for detector in detectors}


def registry() -> RecognizerRegistry:
    """A Presidio registry with all of this project's recognizers for Chinese and English."""
    finder = EntityFinder(load_model())
    return RecognizerRegistry(
        recognizers=[
            *(MainlandRecognizer(one, language) for language in LANGUAGES for one in DETECTORS),
            *(NamedEntityRecognizer(finder, language) for language in LANGUAGES),
        ],
        supported_languages=list(LANGUAGES),
    )

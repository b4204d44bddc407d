"""The named entities as one Presidio recognizer. Importing this imports Presidio."""

from presidio_analyzer import AnalysisExplanation, EntityRecognizer, RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts

from compliance.deadline import Deadline
from compliance.entities import ENTITY_TYPES
from compliance.entities.finder import EntityFinder
from compliance.entities.judge import EntityJudge, entity_meanings
from compliance.sentences import SentenceScanner
from compliance.unicode import Folder
from compliance.verdict import Action, Severity

_SCORES: dict[Severity, float] = {"high": 0.85, "medium": 0.6, "low": 0.4}
_SECONDS = 60.0


class NamedEntityRecognizer(EntityRecognizer):  # type: ignore[misc]
    """Names, addresses and organisations for Presidio's analyzer, sentence by sentence as in the pipeline."""

    def __init__(self, finder: EntityFinder, language: str) -> None:
        meanings = entity_meanings(lambda type_, severity: Action.flag, lambda type_: "")
        self._scanner = SentenceScanner(EntityJudge(finder, meanings), "strict")
        super().__init__(supported_entities=list(ENTITY_TYPES), name="opcgate.entities", supported_language=language)

    def load(self) -> None:
        """Nothing to load: the finder was made from its model."""

    def analyze(
        self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts | None = None
    ) -> list[RecognizerResult]:
        """All entities in a raw text, by raw offsets."""
        folded = Folder().feed(text, final=True)
        deadline = Deadline(_SECONDS)
        deadline.restart()
        matches, _ = self._scanner.start().advance(folded.text, 0, True, deadline)
        results: list[RecognizerResult] = []
        for match in matches:
            if match.meaning.type in entities:
                first = match.start if folded.starts is None else folded.starts[match.start]
                last = match.end if folded.ends is None else folded.ends[match.end - 1]
                score = _SCORES[match.meaning.severity]
                why = AnalysisExplanation(
                    recognizer=self.name, original_score=score, textual_explanation=match.meaning.why
                )
                results.append(RecognizerResult(match.meaning.type, first, last, score, why))
        return results

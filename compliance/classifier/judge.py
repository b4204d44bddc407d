"""The classifier as a judge of sentences."""

from collections.abc import Mapping, Sequence

from compliance.classifier.model import RiskClassifier
from compliance.deadline import Deadline
from compliance.matches import Meaning
from compliance.sentences import Judged

TYPE = "sentence"


class RiskJudge:
    """Reports a whole sentence for each risk that it plainly carries; immutable, shared by all streams."""

    name = "classifier"

    def __init__(self, classifier: RiskClassifier, meanings: Mapping[str, Meaning]) -> None:
        """`meanings` by risk; a risk without one is not reported."""
        self._classifier = classifier
        self._meanings = meanings

    def judge(self, sentence: str, deadline: Deadline) -> Sequence[Judged]:
        found = self._classifier.judge(sentence)
        if not found:
            return ()
        return [Judged(0, len(sentence), self._meanings[risk]) for risk, _ in found if risk in self._meanings]

    def warm_up(self) -> None:
        """Nothing to load: the model was read when the classifier was made."""

"""Precision, recall and false alarms, per risk and overall."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compliance.classifier.recipe.sentences import Sentence


@dataclass(frozen=True, slots=True)
class RiskScore:
    """One risk's row: how many sentences carry it, how many of them were reported with it, how many others were."""

    risk: str
    carried: int
    hit: int
    wrong_harmless: int
    wrong_other: int

    @property
    def recall(self) -> float | None:
        return self.hit / self.carried if self.carried else None

    @property
    def precision(self) -> float | None:
        """Against harmless sentences and those of other risks; None when nothing was reported."""
        reported = self.hit + self.wrong_harmless + self.wrong_other
        return self.hit / reported if reported else None


@dataclass(frozen=True, slots=True)
class Scores:
    """A table's result. `caught` counts harmful sentences reported with any risk."""

    per_risk: tuple[RiskScore, ...]
    harmful: int
    caught: int
    harmless: int
    false_alarms: int

    @property
    def hit(self) -> int:
        return sum(one.hit for one in self.per_risk)

    @property
    def carried(self) -> int:
        return sum(one.carried for one in self.per_risk)


def measure(judge: Callable[[str], Sequence[tuple[str, float]]], sentences: Sequence[Sentence]) -> Scores:
    """Judge every sentence and compare with its risks."""
    found = [frozenset(risk for risk, _ in judge(one.text)) for one in sentences]
    pairs = list(zip(sentences, found, strict=True))
    risks = sorted({risk for one, said in pairs for risk in one.risks | said})
    return Scores(
        per_risk=tuple(
            RiskScore(
                risk,
                carried=sum(risk in one.risks for one, _ in pairs),
                hit=sum(risk in one.risks & said for one, said in pairs),
                wrong_harmless=sum(risk in said and not one.risks for one, said in pairs),
                wrong_other=sum(risk in said - one.risks and bool(one.risks) for one, said in pairs),
            )
            for risk in risks
        ),
        harmful=sum(bool(one.risks) for one, _ in pairs),
        caught=sum(bool(one.risks and said) for one, said in pairs),
        harmless=sum(not one.risks for one, _ in pairs),
        false_alarms=sum(bool(said and not one.risks) for one, said in pairs),
    )

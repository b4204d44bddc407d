"""From findings and scores to OpenAI's moderation categories: data in configs/moderation_categories.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import configs
from compliance.guards.openai_moderation import CATEGORIES
from compliance.taxonomy import Taxonomy, invalid, load_taxonomy, read_yaml
from compliance.verdict import Action, Finding, RulesError, Severity

Score = Annotated[float, Field(ge=0, le=1)]


class Category(BaseModel):
    """One of OpenAI's categories: the risks that it stands for, and its names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    risks: tuple[str, ...]
    en: str
    zh: str


class CategoryFile(BaseModel):
    """The file as it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    severity_scores: dict[Severity, Score]
    flag_at: Score
    openai: dict[str, Category]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Each category's score and whether it holds. `judged` are the categories that anything looks for."""

    scores: dict[str, float]
    flags: dict[str, bool]
    judged: frozenset[str]

    @property
    def flagged(self) -> bool:
        """Whether any category holds."""
        return any(self.flags.values())


class Categories:
    """OpenAI's categories and the 31 risks, ready to judge findings. Immutable."""

    def __init__(self, file: CategoryFile, taxonomy: Taxonomy) -> None:
        self._severity_scores = file.severity_scores
        self._flag_at = file.flag_at
        self._risks = tuple(risk.id for risk in taxonomy.risks)
        self._openai = {name: one.risks for name, one in file.openai.items()}
        self._judged = frozenset(self._risks) | {name for name, risks in self._openai.items() if risks}

    def judge(self, findings: Sequence[Finding], scores: Mapping[str, float]) -> Judgement:
        """The categories of a text from what rules found in it and what a classifier gives each risk."""
        best = {risk: min(1.0, max(0.0, scores.get(risk, 0.0))) for risk in self._risks}
        acted = set()
        for one in findings:
            best[one.risk] = max(best[one.risk], self._severity_scores[one.severity])
            if one.action.rank > Action.flag.rank:
                acted.add(one.risk)
        held = {risk: score >= self._flag_at or risk in acted for risk, score in best.items()}
        return Judgement(
            {name: max((best[risk] for risk in risks), default=0.0) for name, risks in self._openai.items()} | best,
            {name: any(held[risk] for risk in risks) for name, risks in self._openai.items()} | held,
            self._judged,
        )


def shipped_categories() -> Categories:
    """The categories of configs/moderation_categories.yaml. Raises RulesError."""
    folder = Path(configs.__file__).parent
    return load_categories(folder / "moderation_categories.yaml", load_taxonomy(folder / "taxonomy.yaml"))


def load_categories(path: Path, taxonomy: Taxonomy) -> Categories:
    """Read the file. Raises RulesError for a category that is missing or unknown, or an unknown risk."""
    try:
        file = CategoryFile.model_validate(read_yaml(path))
    except ValidationError as error:
        raise invalid(path, error) from None
    for name in (*CATEGORIES, *file.openai):
        if name not in file.openai or name not in CATEGORIES:
            raise RulesError(
                f"{path}: openai.{name}: give exactly OpenAI's categories",
                f"{path}：openai.{name}：请写全且只写 OpenAI 的类别",
            )
    for severity in ("high", "medium", "low"):
        if severity not in file.severity_scores:
            raise RulesError(
                f"{path}: severity_scores.{severity}: missing; give a number from 0 to 1",
                f"{path}：severity_scores.{severity}：缺失，请填 0 到 1 的数",
            )
    for name, category in file.openai.items():
        for risk in category.risks:
            if risk not in taxonomy.ids:
                raise RulesError(
                    f"{path}: openai.{name}: unknown risk {risk}; use an id of configs/taxonomy.yaml",
                    f"{path}：openai.{name} 的风险 {risk} 不存在，请使用 configs/taxonomy.yaml 中的编号",
                )
    return Categories(file, taxonomy)

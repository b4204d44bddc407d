"""Which of the 31 risks a guard's category is, and how severe: data in configs/guards.yaml."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from compliance.guards.answer import GuardAnswer
from compliance.guards.protocol import GuardProtocol
from compliance.taxonomy import Taxonomy, invalid, read_yaml
from compliance.verdict import RulesError, Severity


class CategoryRisk(BaseModel):
    """What one category stands for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    risk: str
    severity: Severity
    en: str
    zh: str

    def softened(self) -> "CategoryRisk":
        """The same, of medium severity at most."""
        return self.model_copy(update={"severity": "medium"}) if self.severity == "high" else self


class ProtocolRisks(BaseModel):
    """All categories of one protocol; `unnamed` is for a text that is called unsafe without a category."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    unnamed: CategoryRisk
    categories: dict[str, CategoryRisk]

    def of(self, answer: GuardAnswer) -> list[tuple[str, CategoryRisk]]:
        """The categories that an answer names, with their risks. Controversial is of medium severity at most."""
        if answer.label == "safe":
            return []
        named = [(name, self.categories[name]) for name in answer.categories] or [("unnamed", self.unnamed)]
        return [(name, one.softened() if answer.label == "controversial" else one) for name, one in named]


def load_risks(path: Path, protocols: Mapping[str, GuardProtocol], taxonomy: Taxonomy) -> Mapping[str, ProtocolRisks]:
    """Read the map. A protocol or category that is missing or too many, or an unknown risk, rejects the file."""
    try:
        risks = TypeAdapter(dict[str, ProtocolRisks]).validate_python(read_yaml(path))
    except ValidationError as error:
        raise invalid(path, error) from None
    _same(path, "", set(risks), set(protocols))
    for name, protocol in protocols.items():
        _same(path, f"{name}.categories.", set(risks[name].categories), set(protocol.categories))
        for category, one in {"unnamed": risks[name].unnamed, **risks[name].categories}.items():
            if one.risk not in taxonomy.ids:
                raise RulesError(
                    f"{path}: {name}.{category}: unknown risk {one.risk}; use an id of configs/taxonomy.yaml",
                    f"{path}：{name}.{category} 的风险 {one.risk} 不存在，请使用 configs/taxonomy.yaml 中的编号",
                )
    return risks


def _same(path: Path, field: str, given: set[str], wanted: set[str]) -> None:
    for key in sorted(wanted - given):
        raise RulesError(f"{path}: {field}{key}: missing; map it to a risk", f"{path}：缺少 {field}{key}，请补上其风险")
    for key in sorted(given - wanted):
        raise RulesError(f"{path}: {field}{key}: no such name; leave it out", f"{path}：没有 {field}{key}，请删去")

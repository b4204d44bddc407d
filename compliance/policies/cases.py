"""Tables of cases for a policy: one JSON object per line, with a text and what the policy must make of it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compliance.guards.rules import GuardRules
from compliance.pipeline import Pipeline
from compliance.taxonomy import read_text
from compliance.verdict import Action, RulesError, Verdict

Said = Literal["high", "medium", "low", "fails"]


class Case(BaseModel):
    """A text, and at least one of: the strictest action, the text that is released, the risks that are found.

    `guards` are what guard models are supposed to say of it: a severity, or that they fail. None is asked here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    direction: Literal["prompt", "output"] = "output"
    surface: Literal["text", "json"] = "text"
    action: Action | None = None
    released: str | None = None
    risks: frozenset[str] | None = None
    guards: dict[str, Said] = {}
    note: str = ""
    where: str = Field("", exclude=True)

    def differences(self, verdict: Verdict, guards: Mapping[str, GuardRules]) -> list[str]:
        """What of the verdict is not as expected."""
        found = frozenset(one.risk for one in verdict.findings)
        wrong: list[str] = []
        action = max((verdict.action, *self._guarded(guards)), key=lambda one: one.rank)
        if self.action is not None and action is not self.action:
            wrong.append(f"action: expected {self.action}, got {action}")
        if self.released is not None and verdict.released != self.released:
            wrong.append(f"released: expected {self.released!r}, got {verdict.released!r}")
        if self.risks is not None and found != self.risks:
            wrong.append(f"risks: expected {_listed(self.risks)}, got {_listed(found)}")
        return wrong

    def _guarded(self, guards: Mapping[str, GuardRules]) -> Iterator[Action]:
        """What follows from what the guards say. A text that nobody could judge is refused, or noted."""
        for name, said in self.guards.items():
            rules = guards[name]
            if rules.enabled and said == "fails":
                yield Action.block if rules.on_failure == "refuse" else Action.flag
            elif rules.enabled and said != "fails":
                yield rules.actions[self.direction, said]


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that came out otherwise, with all that explains why."""

    case: Case
    differences: list[str]
    verdict: Verdict


def read_cases(path: Path, risks: frozenset[str], guards: frozenset[str] = frozenset()) -> list[Case]:
    """Read a table; blank lines and lines that begin with # are skipped. Raises RulesError with file and line."""
    numbered = enumerate(read_text(path).split("\n"), start=1)
    cases = [
        _case(f"{path}:{number}", line, risks, guards) for number, line in numbered if line.strip() and line[0] != "#"
    ]
    if not cases:
        raise RulesError(f"{path}: holds no case; write one per line", f"{path}：没有用例，请每行写一个")
    return cases


def failures(pipeline: Pipeline, cases: list[Case], guards: Mapping[str, GuardRules]) -> Iterator[Failure]:
    """The cases that come out otherwise under a pipeline and the rules of guards by name. Raises ScannerError."""
    for case in cases:
        verdict = pipeline.scan(case.text, case.direction, surface=case.surface)
        differences = case.differences(verdict, guards)
        if differences:
            yield Failure(case, differences, verdict)


def _case(where: str, line: str, risks: frozenset[str], guards: frozenset[str]) -> Case:
    try:
        row: Any = json.loads(line)
        case = Case.model_validate(row | {"where": where} if isinstance(row, dict) else row)
    except (json.JSONDecodeError, RecursionError) as error:
        raise RulesError(f"{where}: not JSON ({error}); mend the line", f"{where}：不是合法的 JSON，请修正") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the line"
        raise RulesError(
            f"{where}: {field}: {first['msg']}; mend this field",
            f"{where}：字段 {field} 有误（{first['msg']}），请修正",
        ) from None
    if case.action is None and case.released is None and case.risks is None:
        raise RulesError(
            f"{where}: expects nothing; give action, released or risks",
            f"{where}：没有期望结果，请填写 action、released 或 risks",
        )
    strangers = case.guards.keys() - guards
    if strangers:
        raise RulesError(
            f"{where}: guards: {_listed(strangers)} not configured; use names of guards in the settings",
            f"{where}：guards 含未配置的 {_listed(strangers)}，请用配置文件 guards 中的名称",
        )
    unknown = (case.risks or frozenset()) - risks
    if unknown:
        raise RulesError(
            f"{where}: risks: unknown {_listed(unknown)}; use ids of configs/taxonomy.yaml",
            f"{where}：risks 含未知的 {_listed(unknown)}，请用 configs/taxonomy.yaml 里的 id",
        )
    return case


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"

"""The golden tables as the report reads them: one JSON object per line, described in docs/compliance.md."""

import json
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from compliance.quality.measures import Span
from compliance.taxonomy import read_text
from compliance.verdict import RulesError, Surface


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    text: str


Row = TypeVar("Row", bound=_Row)


class Evasion(_Row):
    """A text with a disguised term; `written` is how it stands there."""

    technique: str
    risk: str
    term: str
    written: str
    surface: str = "text"

    @property
    def span(self) -> Span:
        start = self.text.index(self.written)
        return Span(start, start + len(self.written), self.risk)

    @property
    def channel(self) -> Surface:
        """The surface, checked when the table was read."""
        return cast("Surface", self.surface)


class Ordinary(_Row):
    """A text that must pass untouched."""

    domain: str = ""


class Personal(_Row):
    """A text with all personal information in it, in its order."""

    found: tuple[tuple[str, str], ...]

    @property
    def spans(self) -> list[Span]:
        spans: list[Span] = []
        at = 0
        for kind, value in self.found:
            start = self.text.index(value, at)
            at = start + len(value)
            spans.append(Span(start, at, kind))
        return spans


class Attack(_Row):
    """An attempt at injection; the half `held` was not used to write the patterns."""

    technique: str
    split: str
    disguise: str = ""


class LookAlike(_Row):
    """An ordinary text that looks like an attempt at injection."""

    topic: str
    split: str


class Harmful(_Row):
    """A sentence of one of the 31 risks."""

    risk: str


class Harmless(_Row):
    """A sentence that only sounds like a risk."""

    kind: str = ""


TABLES: dict[str, type[_Row]] = {
    "evasions": Evasion,
    "ordinary_business": Ordinary,
    "ordinary": Ordinary,
    "ordinary_independent": Ordinary,
    "evasions_lookalikes_ordinary": Ordinary,
    "pii_spans": Personal,
    "pii": Personal,
    "pii_independent": Personal,
    "injection": Attack,
    "injection_ordinary": LookAlike,
    "classifier_harmful": Harmful,
    "classifier_benign": Harmless,
}


def check_tables(folder: Path) -> None:
    """Read every table, so that a bad line is named before anything slow begins. RulesError as `read_table`."""
    for name, row in TABLES.items():
        read_table(folder, name, row)


def read_table(folder: Path, name: str, row: type[Row]) -> list[Row]:
    """The rows of a table; none where the file does not exist. RulesError names file, line and field."""
    path = folder / f"{name}.jsonl"
    if not path.exists():
        return []
    lines = enumerate(read_text(path).splitlines(), start=1)
    return [_read(path, number, line, row) for number, line in lines if line.strip()]


def _read(path: Path, number: int, line: str, row: type[Row]) -> Row:
    try:
        made = row.model_validate(json.loads(line))
    except json.JSONDecodeError as error:
        raise _bad(path, number, f"not JSON at column {error.colno}", f"第 {error.colno} 列不是合法的 JSON") from None
    except ValidationError as error:
        field = ".".join(map(str, error.errors(include_url=False)[0]["loc"]))
        raise _bad(path, number, f"field {field} is missing or wrong", f"字段 {field} 缺失或有误") from None
    _check(path, number, made)
    return made


def _check(path: Path, number: int, row: Any) -> None:
    """What a table says about a text has to be in it."""
    try:
        _ = row.span if isinstance(row, Evasion) else row.spans if isinstance(row, Personal) else None
    except ValueError:
        raise _bad(path, number, "a marked value is not in the text", "标注的内容不在文本中") from None
    if isinstance(row, Evasion) and row.surface not in get_args(Surface):
        raise _bad(path, number, "surface: use text or json", "surface 请用 text 或 json")


def _bad(path: Path, number: int, en: str, zh: str) -> RulesError:
    return RulesError(f"{path}:{number}: {en}; mend the line", f"{path}:{number}：{zh}，请修正此行")

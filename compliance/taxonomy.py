"""The 31 risks as data (configs/taxonomy.yaml), used by every scanner, policy and report."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from compliance.verdict import RulesError


class Risk(BaseModel):
    """One risk: this project's id, its names, the clause it comes from, and how sure that is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    zh: str
    en: str
    clause: str
    source: str
    confidence: str


class Taxonomy(BaseModel):
    """All risks in the order of the clauses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    risks: tuple[Risk, ...]

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(risk.id for risk in self.risks)


def load_taxonomy(path: Path) -> Taxonomy:
    """Read the taxonomy; a bad file is rejected whole."""
    try:
        return Taxonomy.model_validate(read_yaml(path))
    except ValidationError as error:
        raise invalid(path, error) from None


def read_yaml(path: Path) -> Any:
    """Parse a YAML file, or say where it cannot be read."""
    try:
        return yaml.load(read_text(path), Loader=yaml.CSafeLoader)  # as safe, and ten times as fast
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise RulesError(f"{path}{line}: {problem}; mend the YAML", f"{path}{line}：YAML 语法有误，请修正") from None


def read_text(path: Path) -> str:
    """Read a UTF-8 file, or say why not."""
    data = read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RulesError(
            f"{path}:{line}: not UTF-8; save the file as UTF-8", f"{path}:{line}：不是 UTF-8，请另存为 UTF-8"
        ) from None


def read_bytes(path: Path) -> bytes:
    """Read a file, or say why not."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RulesError(
            f"{path}: cannot be read ({error.strerror}); give an existing file",
            f"{path}：无法读取，请给出存在且可读的文件",
        ) from None


def invalid(path: Path, error: ValidationError) -> RulesError:
    """Translate pydantic's first complaint into one line that names the field."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "the file"
    return RulesError(
        f"{path}: {field}: {first['msg']}; mend this field",
        f"{path}：字段 {field} 有误（{first['msg']}），请修正",
    )

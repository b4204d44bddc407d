"""Policy files, read and checked one by one; errors name the file, the line and the field."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from compliance.policies.policy import Leaf
from compliance.policies.schema import GUARD, SCANNERS, SENTENCE_SCANNERS, policy_fields
from compliance.taxonomy import read_text, read_yaml
from compliance.verdict import RulesError


@dataclass(frozen=True, slots=True)
class Known:
    """What a policy may speak of: a risk or type that nobody can find would be a dead rule."""

    risks: frozenset[str]
    types: frozenset[str]
    guards: frozenset[str] | None = None  # the deployment's guard models; None where they are not known


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """One file: what it says itself, and the name of the policy it extends."""

    name: str
    path: Path
    extends: str | None
    leaves: dict[Leaf, Any]


def read_policy(path: Path, known: Known) -> PolicyFile:
    """Read one policy file. It is known by its file name; the field `name` is a title for people."""
    raw = read_yaml(path)
    _reject_doubled(path, yaml.compose(read_text(path), yaml.SafeLoader))
    try:
        fields = policy_fields().validate_python({} if raw is None else raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise field_error(
            path, first["loc"], f"{first['msg']}; mend this field", f"有误（{first['msg']}），请修正"
        ) from None
    leaves = dict(_leaves({key: value for key, value in fields.items() if key not in ("name", "extends")}))
    _reject_unknown(path, ("risks",), fields.get("risks", {}), known.risks)
    _reject_unknown(path, ("types",), fields.get("types", {}), known.types)
    _reject_unknown(path, ("scanners",), fields.get("scanners", {}), SCANNERS)
    if known.guards is not None:
        _reject_unknown(path, ("guards",), fields.get("guards", {}), known.guards)
    _reject_unknown(path, ("placeholders", "types"), fields.get("placeholders", {}).get("types", {}), known.types)
    _reject_unknown(path, ("answers", "risks"), fields.get("answers", {}).get("risks", {}), known.risks)
    _reject_pointless(path, leaves)
    _reject_unsafe_placeholders(path, leaves)
    return PolicyFile(path.stem, path, fields.get("extends"), leaves)


def field_error(path: Path, field: Iterable[str | int], en: str, zh: str) -> RulesError:
    """An error at a field of a policy file, with the line where the field (or what holds it) stands."""
    parts = [str(part) for part in field]
    where = f"{path}:{_line(path, parts)}"
    name = ".".join(parts) or "the file"
    return RulesError(f"{where}: {name}: {en}", f"{where}：字段 {name} {zh}")


def _line(path: Path, field: list[str]) -> int:
    node = yaml.compose(read_text(path), yaml.SafeLoader)
    line = 1
    for part in field:
        found = next((pair for pair in _pairs(node) if pair[0].value == part), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _pairs(node: yaml.Node | None) -> list[tuple[Any, Any]]:
    return node.value if isinstance(node, yaml.MappingNode) else []


def _reject_doubled(path: Path, node: yaml.Node | None, field: tuple[str, ...] = ()) -> None:
    """YAML lets the last of two equal keys win, so half of a policy could vanish without a word."""
    seen: set[str] = set()
    for key, value in _pairs(node):
        here = (*field, str(key.value))
        if key.value in seen:
            line = key.start_mark.line + 1
            raise RulesError(
                f"{path}:{line}: {'.'.join(here)}: stands twice; join the two",
                f"{path}:{line}：字段 {'.'.join(here)} 出现两次，请合并",
            )
        seen.add(key.value)
        _reject_doubled(path, value, here)


def _leaves(value: Any, at: Leaf = ()) -> Iterator[tuple[Leaf, Any]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _leaves(below, (*at, key))
    else:
        yield at, value


def _reject_unknown(path: Path, field: Leaf, given: Iterable[str], known: Iterable[str]) -> None:
    for key in given:
        if key not in known:
            choices = ", ".join(sorted(known)) or "none: there are none"
            raise field_error(
                path, (*field, key), f"unknown; use one of {choices}", f"不认识，请改用其中之一：{choices}"
            )


def _reject_pointless(path: Path, leaves: dict[Leaf, Any]) -> None:
    """What no scanner would heed."""
    for leaf in leaves:
        if leaf[:2] == ("scanners", GUARD) and leaf[2] != "enabled":
            raise field_error(
                path,
                leaf,
                "only `enabled` may stand here, for all guard models; write the rest under `guards.<name>`",
                "此处只能填写 enabled（对全部护栏模型生效）；其余请写在 guards.<名称> 下",
            )
        if leaf[0] == "scanners" and leaf[2] == "hold" and leaf[1] not in SENTENCE_SCANNERS:
            choices = ", ".join(SENTENCE_SCANNERS)
            raise field_error(
                path,
                leaf,
                f"this scanner does not judge sentences; only {choices} do",
                f"只适用于整句判断的扫描器：{choices}",
            )


def _reject_unsafe_placeholders(path: Path, leaves: dict[Leaf, Any]) -> None:
    """A placeholder may land inside a JSON string, so it must not need escaping there."""
    for leaf, text in leaves.items():
        if leaf[0] == "placeholders" and (not text or any(c in '"\\' or c < " " for c in text)):
            raise field_error(
                path,
                leaf,
                "must be text without quotes, backslashes or control characters",
                "不能为空，也不能含引号、反斜杠或控制字符",
            )

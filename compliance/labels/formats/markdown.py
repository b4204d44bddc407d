"""Markdown: the key `AIGC` of the YAML front matter, beside whatever else stands there."""

import json
import re
from typing import Any

import yaml

from compliance.labels.errors import LabelError
from compliance.labels.formats.shape import Entry, Place, TextFormat, after_mark, only
from compliance.labels.label import Label

KEY = "AIGC"
_OPEN = re.compile(r"\ufeff?---[ \t]*\r?\n")
_CLOSE = re.compile(r"^(?:---|\.\.\.)[ \t]*\r?$", re.MULTILINE)


def find(text: str) -> Entry | None:
    """The label's key and value in the front matter."""
    front = front_matter(text)
    if front is None:
        return None
    start, end = front
    mapping = _mapping(text[start:end])
    if mapping is None:
        return None
    entries = []
    for key, value in mapping.value:
        if key.value == KEY:
            if value.start_mark.index < key.end_mark.index:
                raise LabelError(
                    "front matter: AIGC is written with an alias; write it out",
                    "front matter：AIGC 使用了别名，请直接写出内容",
                )
            last = len(text[start : start + _end_of(value)].rstrip())
            entries.append(Entry(start + key.start_mark.index, start + last, _plain(value)))
    return only(entries)


def front_matter(text: str) -> tuple[int, int] | None:
    """Where the front matter's YAML begins and ends, its fences left out; None when there is none."""
    opening = _OPEN.match(text)
    closing = _CLOSE.search(text, opening.end()) if opening else None
    if opening is None or closing is None:
        return None
    if _is_scalar(text[opening.end() : closing.start()]):
        return None  # a thematic break above a paragraph
    return opening.end(), closing.start()


def _compose(front: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(front, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark else 1
        raise LabelError(
            f"line {line}: front matter: is not YAML; mend it", f"第 {line} 行：front matter 不是合法的 YAML"
        ) from None
    return node


def _is_scalar(front: str) -> bool:
    return isinstance(_compose(front), yaml.ScalarNode | yaml.SequenceNode)


def _mapping(front: str) -> yaml.MappingNode | None:
    node = _compose(front)
    return node if isinstance(node, yaml.MappingNode) else None


def _end_of(node: yaml.Node) -> int:
    """Where a node's text ends. A block collection's own mark lies behind the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end_of(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _plain(node: yaml.Node) -> Any:
    """A mapping of scalars as strings, whatever YAML would make of 1 or no; anything else as it can't be a label."""
    if not isinstance(node, yaml.MappingNode):
        return node.value
    fields = {str(key.value): value.value if isinstance(value, yaml.ScalarNode) else None for key, value in node.value}
    if len(fields) != len(node.value):
        raise LabelError("front matter: AIGC has a field twice", "front matter：AIGC 中有重复字段")
    return fields


def place(text: str) -> Place:
    """The first line of the front matter, or a new one."""
    front = front_matter(text)
    if front is None:
        return Place(after_mark(text), "---\n", "\n---\n")
    mapping = _mapping(text[slice(*front)])
    if mapping is not None and (mapping.flow_style or mapping.start_mark.column):
        raise LabelError(
            "front matter: write it as `key: value` lines that begin at the margin, so that AIGC can be added",
            "front matter：请写成顶格的 `key: value` 形式，以便加入 AIGC",
        )
    return Place(front[0], "", "\n")


def render(label: Label) -> str:
    """The entry in YAML's block style, each value in double quotes."""
    lines = [f"  {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in label.fields().items()]
    return "\n".join((f"{KEY}:", *lines))


MARKDOWN = TextFormat(find, place, render)

"""JSON objects (the key AIGC, first), JSON lines (the object {"AIGC": …} as the first line), text (as the last)."""

import json
import re
from typing import Any

from compliance.labels.errors import LabelError
from compliance.labels.formats.shape import Entry, Place, TextFormat, after_mark, decoded, only
from compliance.labels.label import Label

KEY = "AIGC"
_BLANKS = " \t\r\n"
_DECODER = json.JSONDecoder()
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


def is_object(data: bytes) -> bool:
    """True when a JSON file's top level can take a key. Raises LabelError when it isn't JSON at all."""
    value, end = _value(text := decoded(data), _skip(text, after_mark(text)))
    if _skip(text, end) != len(text):
        raise _not_json(text, end)
    return isinstance(value, dict)


def find_key(text: str) -> Entry | None:
    """The label's key and value at the top level of a JSON object."""
    at = _skip(text, after_mark(text)) + 1
    entries = []
    while text[(at := _skip(text, at)) : at + 1] == '"':
        key, after = _value(text, at)
        colon = _skip(text, after)
        value, end = _value(text, _skip(text, colon + 1))
        if key == KEY:
            entries.append(Entry(at, end, value))
        comma = _skip(text, end)
        at = comma + 1 if text[comma : comma + 1] == "," else comma
    return only(entries)


def place_key(text: str) -> Place:
    """Behind the opening brace."""
    at = _skip(text, after_mark(text)) + 1
    empty = text[(next_ := _skip(text, at)) : next_ + 1] == "}"
    return Place(at, "", "" if empty else ",")


def render_key(label: Label) -> str:
    """`"AIGC":{…}`."""
    return f'"{KEY}":{label.inner_json()}'


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except (json.JSONDecodeError, RecursionError, ValueError):
        raise _not_json(text, at) from None


def _not_json(text: str, at: int) -> LabelError:
    line = text.count("\n", 0, at) + 1
    return LabelError(f"line {line}: is not JSON; mend it", f"第 {line} 行：不是合法的 JSON，请修正")


def find_line(text: str) -> Entry | None:
    """The line that is the object {"AIGC": …} and nothing else, with its line break."""
    entries = []
    for line in _LINE.finditer(text, after_mark(text)):
        fields = _label_line(line[0])
        if fields is not None:
            entries.append(Entry(line.start(), line.end(), fields))
    return only(entries)


def _label_line(line: str) -> Any:
    if not line.lstrip().startswith("{") or KEY not in line:
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value[KEY] if isinstance(value, dict) and list(value) == [KEY] else None


def first_line(text: str) -> Place:
    """In front of the first row."""
    return Place(after_mark(text))


def last_line(text: str) -> Place:
    """Behind the last line."""
    return Place(len(text), "" if text.endswith("\n") or not text else "\n")


def render_line(label: Label) -> str:
    """`{"AIGC":{…}}` and a line break."""
    return label.json() + "\n"


JSON_OBJECT = TextFormat(find_key, place_key, render_key)
JSON_LINES = TextFormat(find_line, first_line, render_line)
PLAIN_TEXT = TextFormat(find_line, last_line, render_line)

"""The lines of a batch's input file, each checked; a batch with a wrong line is refused whole, with every line's fault.

The format is OpenAI's: one JSON object per line with `custom_id`, `method`, `url` and `body`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from pydantic import Field, StrictStr, ValidationError

from gateway.surfaces.shape import MOST_DEPTH, Json, Shape, is_too_deep

MOST_ERRORS = 50
LONGEST_LINE = 4 * 1024 * 1024


class InputLine(Shape):
    """One request of a batch."""

    custom_id: StrictStr = Field(min_length=1, max_length=512)
    method: Literal["POST"]
    url: StrictStr
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A line that is well formed; `body` is JSON."""

    number: int
    custom_id: str
    body: bytes


@dataclass(slots=True)
class Checked:
    """What came of a file: its requests, and what is wrong with it (at most 50 lines)."""

    requests: list[BatchRequest] = field(default_factory=list)
    errors: list[Json] = field(default_factory=list)


async def check_lines(pieces: AsyncIterator[bytes], endpoint: str, most_lines: int) -> Checked:
    """Check every line; blank lines are passed over."""
    checked = Checked()
    seen: set[str] = set()
    number = 0
    async for line in _lines(pieces):
        number += 1
        if not line.strip():
            continue
        if len(checked.requests) >= most_lines:
            checked.errors.append(_error(number, None, f"more than {most_lines} lines; split the file. 行数过多。"))
            break
        _check(line, number, endpoint, seen, checked)
        if len(checked.errors) >= MOST_ERRORS:
            break
    if not checked.requests and not checked.errors:
        checked.errors.append(_error(None, None, "the file has no lines. 文件没有内容。"))
    return checked


def _check(line: bytes, number: int, endpoint: str, seen: set[str], checked: Checked) -> None:
    try:
        given = InputLine.model_validate(orjson.loads(line))
    except orjson.JSONDecodeError:
        checked.errors.append(_error(number, None, "not a JSON object in UTF-8. 不是合法的 JSON 对象。"))
        return
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or None
        checked.errors.append(_error(number, where, f"{first['msg']}. 字段无效。"))
        return
    if given.url != endpoint:
        checked.errors.append(_error(number, "url", f"must be the batch's endpoint, {endpoint}. url 须与批次一致。"))
    elif given.custom_id in seen:
        checked.errors.append(_error(number, "custom_id", "is used twice in the file. custom_id 重复。"))
    elif given.body.get("stream"):
        checked.errors.append(_error(number, "body.stream", "a batch doesn't stream; leave it out. 批次不支持流式。"))
    elif is_too_deep(given.body):
        checked.errors.append(_error(number, "body", f"is nested deeper than {MOST_DEPTH} levels. 嵌套过深。"))
    else:
        checked.requests.append(BatchRequest(number, given.custom_id, orjson.dumps(given.body)))
    seen.add(given.custom_id)


def _error(line: int | None, param: str | None, message: str) -> Json:
    """One entry of OpenAI's `errors.data`."""
    return {"code": "invalid_line", "line": line, "message": message, "param": param}


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    held = b""
    async for piece in pieces:
        *whole, held = (held + piece).split(b"\n")
        for line in whole:
            yield line
        if len(held) > LONGEST_LINE:
            yield held[:1] + b"\0"  # no JSON: the line is longer than any request may be
            held = b""
    if held:
        yield held

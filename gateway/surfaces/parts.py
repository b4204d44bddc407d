"""Parts of a message's content: text is scanned; what can't be scanned is refused unless the settings pass it on."""

from collections.abc import Iterator
from typing import Literal

from pydantic import StrictStr

from gateway.errors import InvalidRequest
from gateway.surfaces.shape import Json, Place, Shape, strings_below

Unscanned = Literal["refuse", "pass"]

TEXT_PARTS = ("text", "refusal")
OTHER_PARTS = ("image_url", "input_audio", "file")
DATA_FIELDS = ("url", "data", "file_data")
"""Fields of other parts that hold the content itself; the strings beside them are scanned."""


class Part(Shape):
    """One part of a message. The field with its type's name holds what it says."""

    type: Literal["text", "refusal", "image_url", "input_audio", "file"]
    text: StrictStr | None = None
    refusal: StrictStr | None = None
    image_url: Json | None = None
    input_audio: Json | None = None
    file: Json | None = None


def check_parts(body: Json, unscanned: Unscanned) -> list[str]:
    """The types of the parts that nobody can scan. Raises InvalidRequest for those that are refused."""
    passed = []
    for index, message in enumerate(body["messages"]):
        content = message.get("content")
        for number, part in enumerate(content if isinstance(content, list) else ()):
            where = f"messages.{index}.content.{number}"
            _check_fields(part, where)
            if part["type"] not in TEXT_PARTS:
                _check_other(part, where, unscanned)
                passed.append(part["type"])
    return passed


def _check_fields(part: Json, where: str) -> None:
    kind = part["type"]
    if part.get(kind) is None:
        raise InvalidRequest(f"Field '{where}.{kind}' is required. 缺少字段。", param=f"{where}.{kind}")
    for name in part:
        if name not in ("type", kind):
            raise InvalidRequest(
                f"Field '{where}.{name}' doesn't belong to a part of type '{kind}'; leave it out. 该部分不应含此字段。",
                param=f"{where}.{name}",
            )


def _check_other(part: Json, where: str, unscanned: Unscanned) -> None:
    kind = part["type"]
    if unscanned == "refuse":
        raise InvalidRequest(
            f"A part of type '{kind}' can't be scanned, so it is refused; send parts of type 'text' only. "
            "该类型的内容无法检查，请仅发送文本。",
            param=f"{where}.type",
        )
    url = part[kind].get("url")
    if url is not None and not (isinstance(url, str) and url.startswith("data:")):
        raise InvalidRequest(
            f"Field '{where}.{kind}.url' must be a data: URL; no address is fetched from here. "
            "请使用 data: URL，服务不会抓取外部地址。",
            param=f"{where}.{kind}.url",
        )


def part_places(part: Json, param: str, kind: Literal["text", "json"]) -> Iterator[Place]:
    """The texts of a part."""
    if part["type"] in TEXT_PARTS:
        yield Place(f"{param}.{part['type']}", part, part["type"], kind)
        return
    for place in strings_below(part[part["type"]], f"{param}.{part['type']}"):
        if place.kind == "name" or place.key not in DATA_FIELDS:
            yield place


def said_in(part: Json) -> str:
    """The text of a part, empty for one that holds none."""
    said: str = part[part["type"]] if part["type"] in TEXT_PARTS else ""
    return said

"""XMP: the element `TC260:AIGC`, inside an SVG's own text or in the packet that a PNG carries."""

import json
import re
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

from compliance.labels.errors import LabelError
from compliance.labels.formats.shape import Entry, Place, TextFormat, only
from compliance.labels.label import Label

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


class _Reader:
    """Finds every label of an XML text; `namespace` is the label's own."""

    def __init__(self, text: str, namespace: str) -> None:
        self._data = text.encode()
        self._name = f"{namespace} AIGC"
        self._depth = 0
        self._start = -1
        self._text: list[str] = []
        self.entries: list[Entry] = []
        self.root_start = -1
        self._parser = parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self._open
        parser.EndElementHandler = self._close
        parser.CharacterDataHandler = self._characters
        try:
            parser.Parse(self._data, True)
        except expat.ExpatError as error:
            raise LabelError(
                f"line {error.lineno}: is not XML; mend it", f"第 {error.lineno} 行：不是合法的 XML，请修正"
            ) from None

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        if self.root_start < 0:
            self.root_start = self._parser.CurrentByteIndex
        if self._name in attributes:
            raise LabelError(
                "the label is written as an XML attribute; write TC260:AIGC as an element",
                "标识写成了 XML 属性，请将 TC260:AIGC 写成元素",
            )
        if self._start >= 0:
            raise LabelError("TC260:AIGC has elements inside; it holds JSON only", "TC260:AIGC 内只应为 JSON 文本")
        if name == self._name:
            self._start = self._parser.CurrentByteIndex
            self._text = []

    def _characters(self, data: str) -> None:
        if self._start >= 0:
            self._text.append(data)

    def _close(self, name: str) -> None:
        if name == self._name:
            end = self._data.index(b">", self._parser.CurrentByteIndex) + 1
            before = len(self._data[: self._start].decode())
            self.entries.append(
                Entry(before, before + len(self._data[self._start : end].decode()), _fields(self._text))
            )
            self._start = -1


def _fields(text: list[str]) -> Any:
    try:
        return json.loads("".join(text))
    except (ValueError, RecursionError):
        raise LabelError("TC260:AIGC does not hold JSON", "TC260:AIGC 的内容不是 JSON") from None


def svg_format(namespace: str) -> TextFormat:
    """SVG: an XMP packet in a <metadata> element, first in the drawing."""

    def place(text: str) -> Place:
        reader = _Reader(text, namespace)
        root = len(text.encode()[: reader.root_start].decode())
        tag = re.compile(r"""<(?:([\w.-]+):)?svg(?:[^<>"']|"[^"]*"|'[^']*')*>""").match(text, root)
        if tag is None or tag[0].endswith("/>"):
            raise LabelError("is not an SVG drawing with content", "不是含有内容的 SVG 图形")
        name = f"{tag[1]}:metadata" if tag[1] else "metadata"
        before, after = _around()
        return Place(tag.end(), f"<{name}>{before}", f"{after}</{name}>")

    return TextFormat(lambda text: only(_Reader(text, namespace).entries), place, _render(namespace))


def packet_format(namespace: str) -> TextFormat:
    """An XMP packet as an image carries it; an empty one becomes a packet."""

    def find(text: str) -> Entry | None:
        return only(_Reader(text, namespace).entries) if text else None

    def place(text: str) -> Place:
        if not text:
            return Place(0, *_around())
        closing = list(re.finditer(r"</([\w.-]+):RDF\s*>", text))
        if len(closing) != 1:
            raise LabelError("the XMP packet has no rdf:RDF to add the label to", "XMP 数据中没有可加入标识的 rdf:RDF")
        prefix = closing[0][1]
        return Place(closing[0].start(), f'<{prefix}:Description {prefix}:about="">', f"</{prefix}:Description>")

    return TextFormat(find, place, _render(namespace))


def _around() -> tuple[str, str]:
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="">',
        "</rdf:Description></rdf:RDF></x:xmpmeta>",
    )


def _render(namespace: str) -> Any:
    def render(label: Label) -> str:
        return f'<TC260:AIGC xmlns:TC260="{namespace}">{escape(label.inner_json())}</TC260:AIGC>'

    return render

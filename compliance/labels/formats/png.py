"""PNG: the XMP packet in an iTXt chunk; a tEXt chunk `AIGC`, as some write it, is read and kept too.

The content is every chunk but those two kinds, so an edit of other XMP properties doesn't break the seal.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from compliance.labels.errors import LabelError
from compliance.labels.formats.shape import TextFormat, decoded
from compliance.labels.label import Label, parse_label

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp"
TEXT_KEYWORD = b"AIGC"
MAX_XMP_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk; `kind` is empty for what follows the end of the image."""

    kind: bytes
    body: bytes

    def packed(self) -> bytes:
        if not self.kind:
            return self.body
        return (
            struct.pack(">I", len(self.body))
            + self.kind
            + self.body
            + struct.pack(">I", zlib.crc32(self.kind + self.body))
        )

    @property
    def is_xmp(self) -> bool:
        return self.kind == b"iTXt" and self.body.startswith(XMP_KEYWORD + b"\0")

    @property
    def is_text_label(self) -> bool:
        return self.kind == b"tEXt" and self.body.startswith(TEXT_KEYWORD + b"\0")


@dataclass(frozen=True, slots=True)
class PngFormat:
    """Reads and writes the label of a PNG file without touching its pixels."""

    packet: TextFormat

    def read(self, data: bytes) -> tuple[Label | None, bytes]:
        chunks = list(_chunks(data))
        labels = [parse_label(_text_label(one)) for one in chunks if one.is_text_label]
        for one in chunks:
            if one.is_xmp:
                label, _ = self.packet.read(_xmp(one))
                labels += [label] if label else []
        if len(labels) > 1:
            raise LabelError("the image holds more than one AIGC label", "图片含有多个 AIGC 标识，应只有一个")
        content = b"".join(one.packed() for one in chunks if not (one.is_xmp or one.is_text_label))
        return labels[0] if labels else None, content

    def write(self, data: bytes, label: Label) -> bytes:
        had, _ = self.read(data)
        chunks = list(_chunks(data))
        texts = [place for place, one in enumerate(chunks) if one.is_text_label]
        packets = [place for place, one in enumerate(chunks) if one.is_xmp]
        if had and texts:
            chunks[texts[0]] = Chunk(b"tEXt", TEXT_KEYWORD + b"\0" + label.inner_json().encode())
        elif packets:
            place = next((one for one in packets if self.packet.read(_xmp(chunks[one]))[0]), packets[0])
            chunks[place] = _xmp_chunk(self.packet.write(_xmp(chunks[place]), label))
        else:
            chunks.insert(1, _xmp_chunk(self.packet.write(b"", label)))
        return SIGNATURE + b"".join(one.packed() for one in chunks)


def _chunks(data: bytes) -> Iterator[Chunk]:
    """The chunks in order. Raises LabelError at the first broken one."""
    if not data.startswith(SIGNATURE + b"\0\0\0\x0dIHDR"):
        raise LabelError("is not a PNG image", "不是 PNG 图片")
    at = len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        size = int.from_bytes(data[at : at + 4], "big")
        kind, body, check = data[at + 4 : at + 8], data[at + 8 : at + 8 + size], data[at + 8 + size : at + 12 + size]
        if len(check) != 4 or int.from_bytes(check, "big") != zlib.crc32(kind + body):
            raise LabelError(f"the PNG image is broken at byte {at}", f"PNG 图片在第 {at} 字节处损坏")
        yield Chunk(kind, body)
        at += 12 + size
    if at < len(data):
        yield Chunk(b"", data[at:])


def _text_label(chunk: Chunk) -> Any:
    try:
        value = json.loads(chunk.body.partition(b"\0")[2].decode("latin-1"))
    except (ValueError, RecursionError):
        raise LabelError("the tEXt chunk AIGC does not hold JSON", "tEXt 数据块 AIGC 的内容不是 JSON") from None
    return value["AIGC"] if isinstance(value, dict) and list(value) == ["AIGC"] else value


def _xmp(chunk: Chunk) -> bytes:
    """The packet of an iTXt chunk: keyword, compression flag and method, language, translated keyword, text."""
    rest = chunk.body[len(XMP_KEYWORD) + 1 :]
    packed, text = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    if not packed:
        return text
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(text, MAX_XMP_BYTES)
    except zlib.error:
        raise LabelError("the compressed XMP chunk is broken", "压缩的 XMP 数据块已损坏") from None
    if unpacker.unconsumed_tail:
        raise LabelError("the compressed XMP chunk is too large", "压缩的 XMP 数据块过大")
    return plain


def _xmp_chunk(packet: bytes) -> Chunk:
    return Chunk(b"iTXt", XMP_KEYWORD + b"\0\0\0\0\0" + decoded(packet).encode())

"""What every format can do, and how the text formats do it: find the entry, cut it out, put one in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from compliance.labels.errors import LabelError
from compliance.labels.label import Label, parse_label


class Format(Protocol):
    """Reads and writes the label of a file's bytes."""

    def read(self, data: bytes) -> tuple[Label | None, bytes]:
        """The label and the content without it. Raises LabelError when there is more than one, or a broken one."""
        ...

    def write(self, data: bytes, label: Label) -> bytes:
        """The file with this label in the place of the one it has, if any. Raises LabelError."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A label in a text: its place in code points, and its fields as they stand there."""

    start: int
    end: int
    fields: Any


@dataclass(frozen=True, slots=True)
class Place:
    """Where a first entry goes, and what has to stand around it."""

    at: int
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class TextFormat:
    """A format whose label is one stretch of its UTF-8 text."""

    find: Callable[[str], Entry | None]
    place: Callable[[str], Place]
    render: Callable[[Label], str]

    def read(self, data: bytes) -> tuple[Label | None, bytes]:
        text = decoded(data)
        entry = self.find(text)
        if entry is None:
            return None, data
        return parse_label(entry.fields), (text[: entry.start] + text[entry.end :]).encode()

    def write(self, data: bytes, label: Label) -> bytes:
        text = decoded(data)
        entry = self.find(text)
        if entry is None:
            place = self.place(text)
            start, end, before, after = place.at, place.at, place.before, place.after
        else:
            parse_label(entry.fields)  # one that can't be read isn't written over
            start, end, before, after = entry.start, entry.end, "", ""
        new = f"{before}{self.render(label)}{after}"
        if "\r\n" in (text if entry is None else text[start:end]):  # a label keeps its own line ends
            new = new.replace("\n", "\r\n")
        return f"{text[:start]}{new}{text[end:]}".encode()


def decoded(data: bytes) -> str:
    """The text of a file. Raises LabelError."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise LabelError(
            f"line {line}: is not UTF-8; save the file as UTF-8", f"第 {line} 行：不是 UTF-8，请另存为 UTF-8"
        ) from None


def only(entries: list[Entry]) -> Entry | None:
    """The one entry, or None. Raises LabelError when there are more: a file has one label."""
    if len(entries) > 1:
        raise LabelError(
            "the file holds more than one AIGC label; it must hold one", "文件含有多个 AIGC 标识，应只有一个"
        )
    return entries[0] if entries else None


def after_mark(text: str) -> int:
    """Where the text begins behind a byte order mark."""
    return 1 if text.startswith("\ufeff") else 0

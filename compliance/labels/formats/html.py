"""HTML: `<meta name="AIGC" content="{…}">` in the head."""

import json
from html import escape
from html.parser import HTMLParser
from itertools import accumulate

from compliance.labels.errors import LabelError
from compliance.labels.formats.shape import Entry, Place, TextFormat, after_mark, only
from compliance.labels.label import Label

NAME = "AIGC"


class _Reader(HTMLParser):
    """Finds the label's tags, and behind which tag a new one goes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self._starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
        self.entries: list[Entry] = []
        self.behind: dict[str, int] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line, column = self.getpos()
        start = self._starts[line - 1] + column
        end = start + len(self.get_starttag_text() or "")
        if tag in ("head", "html"):
            self.behind.setdefault(tag, end)
        if tag == "meta" and (dict(attrs).get("name") or "").upper() == NAME:
            self.entries.append(Entry(start, end, _fields(attrs)))

    def handle_decl(self, decl: str) -> None:
        line, column = self.getpos()
        self.behind.setdefault("doctype", self._starts[line - 1] + column + len(f"<!{decl}>"))


def _fields(attrs: list[tuple[str, str | None]]) -> object:
    if sorted(name for name, _ in attrs) != ["content", "name"]:
        raise LabelError(
            "the meta tag AIGC has other attributes than name and content",
            "meta 标签 AIGC 只应有 name 与 content 两个属性",
        )
    try:
        return json.loads(dict(attrs)["content"] or "")
    except (ValueError, RecursionError):
        raise LabelError("the meta tag AIGC: its content is not JSON", "meta 标签 AIGC 的 content 不是 JSON") from None


def find(text: str) -> Entry | None:
    """The label's meta tag."""
    return only(_Reader(text).entries)


def place(text: str) -> Place:
    """Behind <head>, else behind <html>, else behind the doctype, else at the start."""
    behind = _Reader(text).behind
    return Place(next((behind[one] for one in ("head", "html", "doctype") if one in behind), after_mark(text)))


def render(label: Label) -> str:
    """The tag."""
    return f'<meta name="{NAME}" content="{escape(label.inner_json())}">'


HTML = TextFormat(find, place, render)

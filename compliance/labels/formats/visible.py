"""The visible text in files that people read: Markdown, plain text, HTML. Other formats are shown by a program."""

import re
from html import escape

from compliance.labels.formats.markdown import front_matter
from compliance.labels.formats.shape import after_mark, decoded
from configs.schema import LabelPosition

SHOWN = (".md", ".markdown", ".txt", ".html", ".htm")


def with_notice(data: bytes, ending: str, notice: str, position: LabelPosition) -> bytes:
    """The file with the visible text at its start, end or both; unchanged where it holds it or can't show it."""
    if ending not in SHOWN or position == "corner":
        return data
    text = decoded(data)
    line_break = "\r\n" if "\r\n" in text else "\n"
    html = ending in (".html", ".htm")
    shown = f"<p>{escape(notice)}</p>" if html else notice
    if shown in text:
        return data
    start, end = _edges_of_html(text) if html else _edges_of_text(text, markdown=ending != ".txt")
    before, body, after = text[:start], text[start:end], text[end:]
    if position in ("start", "both"):
        before += shown + line_break * (1 if html else 2)
    if position in ("end", "both"):
        if not html:
            body = body.rstrip("\r\n") + line_break * 2 if body.strip() else body
        body += shown + line_break
    return f"{before}{body}{after}".encode()


def _edges_of_text(text: str, *, markdown: bool) -> tuple[int, int]:
    front = front_matter(text) if markdown else None
    if front is None:
        return after_mark(text), len(text)
    fence = text.find("\n", front[1])
    return len(text) if fence < 0 else fence + 1, len(text)


def _edges_of_html(text: str) -> tuple[int, int]:
    opening = re.search(r"<body\b[^>]*>", text, re.IGNORECASE)
    closings = list(re.finditer(r"</body\s*>", text, re.IGNORECASE))
    start = opening.end() if opening else after_mark(text)
    return start, closings[-1].start() if closings and closings[-1].start() >= start else len(text)

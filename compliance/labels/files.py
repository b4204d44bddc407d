"""Labels in files: read, check, put in. There is no way to take one out."""

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from compliance.labels.answers import is_answer, read_answer
from compliance.labels.errors import LabelError, Problem
from compliance.labels.formats.html import HTML
from compliance.labels.formats.json_text import JSON_LINES, JSON_OBJECT, PLAIN_TEXT, is_object
from compliance.labels.formats.markdown import MARKDOWN
from compliance.labels.formats.png import PngFormat
from compliance.labels.formats.shape import Format
from compliance.labels.formats.visible import with_notice
from compliance.labels.formats.xmp import packet_format, svg_format
from compliance.labels.ids import new_content_id
from compliance.labels.label import Label
from compliance.labels.labels import Labels, check_label
from compliance.labels.rules import LabelRules
from compliance.labels.seal import Keys
from configs.schema import LabelPosition

SIDECAR = ".aigc.json"
BESIDE = (".csv", ".tsv")


@dataclass(frozen=True, slots=True)
class Found:
    """What a file says of itself: its label, if any, and the SHA-256 of its content without the label."""

    label: Label | None
    digest: bytes


def formats(rules: LabelRules) -> dict[str, Format]:
    """The formats that hold a label inside, by the file name's ending."""
    namespace = rules.implicit.xmp_namespace
    return {
        ".md": MARKDOWN,
        ".markdown": MARKDOWN,
        ".json": JSON_OBJECT,
        ".jsonl": JSON_LINES,
        ".ndjson": JSON_LINES,
        ".txt": PLAIN_TEXT,
        ".html": HTML,
        ".htm": HTML,
        ".svg": svg_format(namespace),
        ".png": PngFormat(packet_format(namespace)),
    }


def read_file(path: Path, rules: LabelRules) -> Found:
    """The label of a file and its content's digest. Raises LabelError naming the file."""
    data = _read(path)
    try:
        form = _format_of(path, data, rules)
        if form is not None:
            answer = _answer(path, data)
            if answer is not None:
                return answer
            label, content = form.read(data)
            return Found(label, hashlib.sha256(content).digest())
        beside = _sidecar(path)
        label = JSON_OBJECT.read(_read(beside))[0] if beside.exists() else None
        return Found(label, hashlib.sha256(data).digest())
    except LabelError as error:
        raise _in_file(path, error) from None


def label_file(path: Path, labels: Labels, *, model: str, position: LabelPosition = "end") -> Label:
    """Label a file that was generated here, or pass on one that has a label already; returns the label.

    A first label comes with the visible text where the format can show it (Markdown, text, HTML). A label that is
    there keeps its production fields, and the content stays as it is. Raises LabelError naming the file.
    """
    data = _read(path)
    try:
        form = _format_of(path, data, labels.rules)
        if _answer(path, data) is not None:
            raise LabelError("is an API answer, which holds its label already", "是接口返回，已含有标识")
        if form is None:
            return _label_beside(path, data, labels)
        had, _ = form.read(data)
        if had is None:
            data = with_notice(data, path.suffix.lower(), labels.notice.text(model), position)
        data = form.write(data, had or labels.produced("0" * 32, None))
        label = _next_label(labels, had, hashlib.sha256(form.read(data)[1]).digest())
        _write(path, form.write(data, label))
    except LabelError as error:
        raise _in_file(path, error) from None
    return label


def _label_beside(path: Path, data: bytes, labels: Labels) -> Label:
    beside = _sidecar(path)
    had = JSON_OBJECT.read(_read(beside))[0] if beside.exists() else None
    label = _next_label(labels, had, hashlib.sha256(data).digest())
    _write(beside, label.json().encode() + b"\n")
    return label


def _next_label(labels: Labels, had: Label | None, digest: bytes) -> Label:
    content_id = new_content_id(time.time())
    return labels.produced(content_id, digest) if had is None else labels.passed_on(had, content_id, digest)


def check_file(path: Path, keys: Keys, rules: LabelRules) -> tuple[Label, list[Problem]]:
    """A file's label, and why it is not verified (empty when it is). Raises LabelError, also when there is no label."""
    found = read_file(path, rules)
    if found.label is None:
        raise LabelError(f"{path}: carries no label", f"{path}：没有标识")
    return found.label, check_label(found.label, found.digest, keys, rules)


def _format_of(path: Path, data: bytes, rules: LabelRules) -> Format | None:
    """The format that holds the label inside the file; None where it goes into a file beside it."""
    known = formats(rules)
    ending = path.suffix.lower()
    if path.name.endswith(SIDECAR):
        raise LabelError("is a label file; name the file that it belongs to", "是标识文件，请指定它所属的文件")
    if ending in BESIDE or (ending == ".json" and not is_object(data)):
        return None
    if ending not in known:
        raise LabelError(
            f"this format can't be labelled yet; known are {', '.join(sorted({*known, *BESIDE}))}",
            f"暂不支持为该格式添加标识，支持：{'、'.join(sorted({*known, *BESIDE}))}",
        )
    return known[ending]


def _answer(path: Path, data: bytes) -> Found | None:
    if path.suffix.lower() != ".json":
        return None
    value = json.loads(data.decode("utf-8-sig"))
    return Found(*read_answer(value)) if is_answer(value) else None


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + SIDECAR)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror})", f"{path}：无法读取") from None


def _write(path: Path, data: bytes) -> None:
    """Replace the file whole or not at all; a link stays a link and permissions stay as they are."""
    target = path.resolve()
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_bytes(data)
        if target.exists():
            draft.chmod(target.stat().st_mode & 0o7777)
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise LabelError(f"cannot be written ({error.strerror})", "无法写入") from None


def _in_file(path: Path, error: LabelError) -> LabelError:
    return LabelError(f"{path}: {error.en}", f"{path}：{error.zh}")

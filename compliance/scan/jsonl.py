"""Lines of JSON with an id and a text, or a text in chunks."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Any

from compliance.scan.inputs import InputError


def rows(data: bytes, file: str) -> Iterator[dict[str, Any]]:
    """Each row of the file. Raises InputError that names the line."""
    for number, line in enumerate(data.removeprefix(BOM_UTF8).split(b"\n"), start=1):
        if line.strip():
            yield _parse(line, f"{file}:{number}")


def _parse(line: bytes, where: str) -> dict[str, Any]:
    """One line as an object with an id and either a text or chunks."""
    try:
        row = json.loads(_decoded(line, where))
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where}: not JSON ({error.msg} at column {error.colno}); mend the line",
            f"{where}：不是合法的 JSON（第 {error.colno} 列），请修正此行",
        ) from None
    except (RecursionError, ValueError):
        raise InputError(
            f"{where}: JSON nested too deep or a number too long; mend the line",
            f"{where}：JSON 嵌套过深或数字过长，请修正此行",
        ) from None
    if not isinstance(row, dict):
        raise InputError(f'{where}: write an object with "id" and "text"', f'{where}：请写成含 "id" 和 "text" 的对象')
    if not isinstance(row.get("id"), str | int) or isinstance(row["id"], bool):
        raise InputError(f"{where}: id: give a string or a whole number", f"{where}：字段 id 应为字符串或整数")
    if ("text" in row) == ("chunks" in row):
        raise InputError(f"{where}: give either text or chunks", f"{where}：字段 text 与 chunks 请二选一")
    if "text" in row and not isinstance(row["text"], str):
        raise InputError(f"{where}: text: give a string", f"{where}：字段 text 应为字符串")
    if "chunks" in row and not (
        isinstance(row["chunks"], list) and all(isinstance(chunk, str) for chunk in row["chunks"])
    ):
        raise InputError(f"{where}: chunks: give a list of strings", f"{where}：字段 chunks 应为字符串列表")
    return row


def _decoded(line: bytes, where: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not UTF-8 at byte {error.start}; convert the file to UTF-8",
            f"{where}：第 {error.start} 字节处不是 UTF-8，请把文件转为 UTF-8",
        ) from None

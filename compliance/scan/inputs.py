"""From a file's bytes to text, or a clear word on why not."""

import codecs
import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from errno import EBADF
from pathlib import Path
from typing import NamedTuple

from compliance.verdict import ComplianceError

AUTO = "auto"

COMMON_SHARE = 0.8
"""So much of a text must be common Chinese for bytes to be taken for GB18030: noise decodes to rare characters."""

_MARKED = ((BOM_UTF32_LE, "utf-32"), (BOM_UTF32_BE, "utf-32"), (BOM_UTF16_LE, "utf-16"), (BOM_UTF16_BE, "utf-16"))


class Problem(NamedTuple):
    """Why a file was not scanned, in English and Chinese."""

    en: str
    zh: str


class InputError(ComplianceError):
    """What was given cannot be scanned; says what to mend, in English and Chinese."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(f"{en} / {zh}")
        self.problem = Problem(en, zh)


class Decoded(NamedTuple):
    """A text and the encoding it was in."""

    text: str
    encoding: str


def read(file: str) -> bytes:
    """The bytes of a file, or of standard input for `-`."""
    try:
        if file != "-":
            return Path(file).read_bytes()
        if sys.stdin is None:  # closed by the caller
            raise OSError(EBADF, "standard input is closed")
        return sys.stdin.buffer.read()
    except OSError as error:
        raise unreadable(file, error) from None


def unreadable(file: str, error: OSError) -> InputError:
    """A file that the system does not give."""
    return InputError(
        f"{file}: cannot be read ({error.strerror}); give an existing file or -",
        f"{file}：无法读取，请给出存在且可读的文件，或用 - 表示标准输入",
    )


def known_encoding(name: str) -> str:
    """An encoding by any of its names, or `auto`. Raises InputError."""
    if name == AUTO:
        return name
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise InputError(
            f"--encoding: {name!r} is unknown; use utf-8, gb18030, big5 or another, or auto",
            f"--encoding：不认识编码 {name!r}，请用 utf-8、gb18030、big5 等，或 auto",
        ) from None


def decode(data: bytes, where: str, encoding: str = AUTO) -> Decoded:
    """The text of these bytes. `auto` knows UTF-8, GB18030, and UTF-16 and UTF-32 by their marks. Raises InputError."""
    if encoding != AUTO:
        try:
            return Decoded(data.decode(encoding), encoding)
        except (UnicodeDecodeError, LookupError):
            raise InputError(
                f"{where}: not {encoding}; name another --encoding", f"{where}：不是 {encoding} 编码，请换 --encoding"
            ) from None
    for mark, marked in _MARKED:
        if data.startswith(mark):
            return decode(data, where, marked)
    try:
        return Decoded(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError as error:
        text = _as_gb18030(data)
        if text is not None:
            return Decoded(text, "gb18030")
        raise InputError(
            f"{where}: not UTF-8 at byte {error.start} nor GB18030: binary, or another encoding; convert it to UTF-8 "
            "or name its --encoding",
            f"{where}：第 {error.start} 字节处不是 UTF-8，也不是 GB18030，可能是二进制文件；请转为 UTF-8 或指明 "
            "--encoding",
        ) from None


def _as_gb18030(data: bytes) -> str | None:
    if b"\0" in data:
        return None
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return None
    plain = len(text.encode("ascii", "ignore"))
    common = (len(text.encode("gb2312", "ignore")) - plain) / 2
    return text if common >= COMMON_SHARE * (len(text) - plain) else None

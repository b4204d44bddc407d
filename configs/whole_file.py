"""A file that is replaced as a whole: readers see the old one or the new one, whatever happens meanwhile."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def replace_file(path: Path, content: str) -> None:
    """Write UTF-8 text to a file beside it, to the disk, then in its place; mode 0644. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Have a file or a folder's names on the disk before going on. Raises OSError."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)

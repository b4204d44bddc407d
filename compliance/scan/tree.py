"""Which files of the given files and folders are to be scanned, and what is left out and why."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from compliance.scan.checker import Scanned
from compliance.scan.inputs import unreadable

TEXT_FILES = (
    "*.txt", "*.text", "*.md", "*.markdown", "*.rst", "*.adoc", "*.tex", "*.log", "*.srt", "*.vtt", "*.ass", "*.lrc",
    "*.json", "*.jsonl", "*.ndjson", "*.geojson", "*.ipynb", "*.csv", "*.tsv", "*.yaml", "*.yml", "*.toml", "*.ini",
    "*.cfg", "*.conf", "*.properties", "*.env", "*.xml", "*.html", "*.htm", "*.xhtml", "*.svg", "*.css", "*.scss",
    "*.less", "*.vue", "*.js", "*.mjs", "*.cjs", "*.jsx", "*.ts", "*.tsx", "*.py", "*.pyi", "*.java", "*.kt", "*.go",
    "*.rs", "*.c", "*.h", "*.cc", "*.cpp", "*.hpp", "*.cs", "*.swift", "*.m", "*.php", "*.rb", "*.lua", "*.pl",
    "*.sh", "*.bash", "*.bat", "*.ps1", "*.sql", "*.r", "*.proto", "*.graphql", "*.po", "*.strings", "*.eml",
    "README", "LICENSE", "NOTICE", "CHANGELOG", "Makefile", "Dockerfile",
)  # fmt: skip

LEFT_OUT_FOLDERS = (".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", ".tox", ".mypy_cache", ".ruff_cache")


@dataclass(slots=True)
class Selection:
    """The files to scan, in order; folders that could not be opened; what was not selected, by kind."""

    files: list[Path] = field(default_factory=list)
    problems: list[Scanned] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def select(given: Sequence[str], include: Sequence[str], exclude: Sequence[str]) -> Selection:
    """The files that are given, and those below given folders that the patterns select.

    A pattern fits a name or a path below the folder. `exclude` also leaves out folders. Links to folders are not
    followed, so no loop of links can catch the walk; the same file is taken once.
    """
    selection = Selection()
    seen: set[tuple[int, int]] = set()
    for one in given:
        path = Path(one)
        if path.is_dir():
            _walk(path, tuple(include) or TEXT_FILES, (*LEFT_OUT_FOLDERS, *exclude), seen, selection)
        else:
            _take(path, seen, selection)
    return selection


def _walk(
    root: Path, include: Sequence[str], exclude: Sequence[str], seen: set[tuple[int, int]], selection: Selection
) -> None:
    def failed(error: OSError) -> None:
        name = str(error.filename)
        selection.problems.append(Scanned(name, problem=unreadable(name, error).problem))

    for folder, folders, names in os.walk(root, onerror=failed):
        here = Path(folder)
        folders[:] = sorted(_wanted_folders(here, root, folders, exclude, selection))
        for name in sorted(names):
            path = here / name
            below = path.relative_to(root)
            if _fits(below, exclude) or not _fits(below, include):
                selection.left_out[f"*{path.suffix}" if path.suffix else name] += 1
            else:
                _take(path, seen, selection)


def _wanted_folders(
    here: Path, root: Path, names: Iterable[str], exclude: Sequence[str], selection: Selection
) -> Iterable[str]:
    for name in names:
        if (here / name).is_symlink():
            selection.left_out["link to a folder"] += 1
        elif _fits((here / name).relative_to(root), exclude):
            selection.left_out[f"{name}/"] += 1
        else:
            yield name


def _fits(path: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch(path.name, pattern) or fnmatch(path.as_posix(), pattern) for pattern in patterns)


def _take(path: Path, seen: set[tuple[int, int]], selection: Selection) -> None:
    try:
        about = path.stat()
    except OSError:
        selection.files.append(path)  # reading it will say what is wrong
        return
    if (about.st_dev, about.st_ino) not in seen:
        seen.add((about.st_dev, about.st_ino))
        selection.files.append(path)

"""The manifest beside the weights: which files, their digests, and how they came to be."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = "MANIFEST.json"


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Describe every file of the folder, together with facts about the run."""
    content = {**facts, "sha256": file_digests(folder)}
    (folder / MANIFEST).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """What `write_manifest` wrote."""
    content: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return content


def file_digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file in the folder, cards and the manifest itself left out."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in {MANIFEST, "README.md"}
    }

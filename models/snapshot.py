"""A hub's model on this machine: where its snapshot is, and whether it is whole."""

import hashlib
from pathlib import Path

from configs.bilingual import BilingualError
from configs.schema import ModelSettings
from models.manifest import file_digest
from models.weights import WeightsError, check_weights

GIT_SHA_CHARS = 40
PATTERNS = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "LICENSE*", "README.md")
"""What is fetched of a model: safetensors, and what tokenizers, templates and licences are in. Never pickles."""


class SnapshotError(BilingualError):
    """A hub's model is not on this machine, or not as the hub has it; the message says what to do."""


def snapshot_folder(base: ModelSettings) -> Path:
    """The folder of a hub's model in the hub's cache, all its weights in it; asks no network. Raises SnapshotError."""
    found = _from_modelscope(base) if base.source.modelscope else _from_huggingface(base)
    if found is None or not (found / "config.json").is_file():
        raise SnapshotError(
            f"model '{base.id}' is not on this machine; fetch it with `opcgate models pull {base.id}`.",
            "本机没有该模型的权重，请先下载。",
        )
    try:
        check_weights(found)
    except WeightsError as error:
        raise SnapshotError(f"model '{base.id}': {error.en}", error.zh) from None
    return found


def _from_huggingface(base: ModelSettings) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    repo, revision, patterns = str(base.source.huggingface), base.source.revision, list(PATTERNS)
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=patterns, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def _from_modelscope(base: ModelSettings) -> Path | None:
    from modelscope.hub.snapshot_download import snapshot_download
    from modelscope_hub.errors import HubError

    repo, revision = str(base.source.modelscope), base.source.revision
    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=True))
    except HubError:
        return None


def changed_files(folder: Path) -> list[str]:
    """The names of files whose content isn't what the Hugging Face hub named it by. Other folders name none.

    The hub's cache keeps each file under its digest: SHA-256 for large files, git's own for small ones.
    """
    return [
        path.name
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() and path.is_file() and not _is_itself(path.resolve())
    ]


def _is_itself(blob: Path) -> bool:
    if len(blob.name) == GIT_SHA_CHARS:
        content = blob.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == blob.name
    return file_digest(blob) == blob.name

"""Fetching a hub's model into the hub's cache: pinned revision, safetensors only, resumed, then checked."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from shutil import disk_usage
from typing import TypeVar

from configs.schema import ModelSettings
from models.manifest import file_digest
from models.snapshot import PATTERNS, SnapshotError, changed_files, snapshot_folder
from models.weights import PICKLE_ENDINGS

Report = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file that a hub has. `sha256` is None where the hub doesn't say it."""

    name: str
    size: int
    sha256: str | None


def pull(base: ModelSettings, report: Report) -> Path:
    """Fetch a hub's model and check it; returns its folder. What an earlier pull left is gone on with.

    Raises SnapshotError.
    """
    if base.source.kind() in ("path", "package"):
        raise SnapshotError(
            f"model '{base.id}' comes from a {base.source.kind()}, so there is nothing to fetch.", "该模型无需下载。"
        )
    if base.source.revision is None:
        report(f"{base.id}: source.revision isn't set, so this is the newest; pin it. 未固定版本，建议设置 revision。")
    modelscope = base.source.modelscope is not None
    files = _modelscope_files(base) if modelscope else _huggingface_files(base)
    wanted = _wanted(base, files)
    _check_disk(base, wanted)
    folder = _fetch_modelscope(base) if modelscope else _fetch_huggingface(base)
    report(f"{base.id}: {folder}")
    return checked(base, folder, wanted)


def checked(base: ModelSettings, folder: Path, wanted: list[HubFile]) -> Path:
    """The folder, every file in it as the hub has it. Raises SnapshotError."""
    for one in wanted:
        path = folder / one.name
        if not path.is_file() or path.stat().st_size != one.size or (one.sha256 and file_digest(path) != one.sha256):
            raise _changed(base, path)
    for name in changed_files(folder):
        raise _changed(base, folder / name)
    return snapshot_folder(base)


def _changed(base: ModelSettings, path: Path) -> SnapshotError:
    return SnapshotError(
        f"{path}: isn't what the hub has; delete it and run `opcgate models pull {base.id}` again.",
        "文件与模型站不一致，请删除后重新下载。",
    )


def _wanted(base: ModelSettings, files: list[HubFile]) -> list[HubFile]:
    """The files to fetch. Raises SnapshotError for a model that has its weights as pickles only."""
    wanted = [one for one in files if any(fnmatchcase(one.name, pattern) for pattern in PATTERNS)]
    if not any(one.name.endswith(".safetensors") for one in wanted):
        pickles = [one.name for one in files if one.name.endswith(PICKLE_ENDINGS)]
        why = f" They are pickles ({', '.join(pickles[:3])}), and opening one can run code." if pickles else ""
        raise SnapshotError(
            f"model '{base.id}': the hub has no safetensors weights of it.{why} Choose a model with safetensors.",
            "模型站上没有 safetensors 权重（pickle 权重不予下载），请更换模型。",
        )
    return wanted


def _check_disk(base: ModelSettings, wanted: list[HubFile]) -> None:
    needed = sum(one.size for one in wanted)
    place = _cache(modelscope=base.source.modelscope is not None)
    while not place.exists():
        place = place.parent
    free = disk_usage(place).free
    if needed > free:
        raise SnapshotError(
            f"model '{base.id}' has {needed >> 20} MiB, and {place} has {free >> 20} MiB free; free some, or set "
            "HF_HOME (MODELSCOPE_CACHE) to another disk.",
            "磁盘空间不足，请清理或更换缓存目录。",
        )


def _cache(*, modelscope: bool) -> Path:
    if modelscope:
        return Path(os.environ.get("MODELSCOPE_CACHE") or Path.home() / ".cache" / "modelscope")
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _huggingface_files(base: ModelSettings) -> list[HubFile]:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    repo, revision = str(base.source.huggingface), base.source.revision
    listed = _asked(base, lambda: list(HfApi().list_repo_tree(repo, recursive=True, revision=revision)))
    found = [one for one in listed if isinstance(one, RepoFile)]
    return [HubFile(one.path, one.size, one.lfs.sha256 if one.lfs else None) for one in found]


def _fetch_huggingface(base: ModelSettings) -> Path:
    from huggingface_hub import snapshot_download

    repo, revision, patterns = str(base.source.huggingface), base.source.revision, list(PATTERNS)
    return Path(_asked(base, lambda: snapshot_download(repo, revision=revision, allow_patterns=patterns)))


def _modelscope_files(base: ModelSettings) -> list[HubFile]:
    """ModelScope's own client checks the SHA-256 of what it fetches, so names and sizes are enough."""
    from modelscope.hub.api import HubApi

    repo, revision = str(base.source.modelscope), base.source.revision
    listed = _asked(base, lambda: HubApi().get_model_files(repo, revision=revision, recursive=True))
    return [HubFile(str(one["Path"]), int(one["Size"] or 0), None) for one in listed]


def _fetch_modelscope(base: ModelSettings) -> Path:
    from modelscope.hub.snapshot_download import snapshot_download

    repo, revision, patterns = str(base.source.modelscope), base.source.revision, list(PATTERNS)
    return Path(_asked(base, lambda: snapshot_download(repo, revision=revision, allow_patterns=patterns)))


def _asked(base: ModelSettings, work: Callable[[], T]) -> T:
    """What a hub answers; its errors in our words. Raises SnapshotError."""
    from httpx import HTTPError
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
    from modelscope_hub.errors import HubError, NotExistError

    source = base.source
    name = f"model '{base.id}' ({source.kind()}: {source.huggingface or source.modelscope})"
    try:
        return work()
    except GatedRepoError:
        raise SnapshotError(
            f"{name}: the hub gives it only to accounts that accepted its licence; accept it there and set HF_TOKEN.",
            "该模型需在模型站接受许可后方可下载，请设置访问令牌。",
        ) from None
    except (RepositoryNotFoundError, RevisionNotFoundError, NotExistError):
        raise SnapshotError(
            f"{name}: the hub has no such model, or no revision {source.revision}; correct source in the catalog.",
            "模型站没有该模型或该版本，请更正目录。",
        ) from None
    except (HTTPError, HubError, OSError, ValueError) as error:
        raise SnapshotError(
            f"{name}: could not be fetched ({type(error).__name__}: {error}); run the command again, and it goes on "
            "where it stopped.",
            "下载失败，请重试，将从中断处继续。",
        ) from None

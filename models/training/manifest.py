"""The manifest of an adapter: base -> data -> settings -> files, each by its digest; no times, no machine names."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from configs.sections.catalog import Digest, Vertical
from configs.strict import Strict
from models.manifest import MANIFEST, BaseRef, FileName, file_digest
from models.training.errors import TrainingError
from models.training.settings import TrainSettings
from models.weights import WeightsError, check_weights

CARD = "README.md"


class DataRef(Strict):
    """The training file, and what was held out of it or beside it. `learned` and `tokens` count what was trained on."""

    sha256: Digest
    rows: int = Field(ge=1)
    learned: int = Field(ge=1)
    tokens: int = Field(ge=1)
    held_out_sha256: Digest | None
    held_out_rows: int = Field(ge=1)


class ScoreRef(Strict):
    """Scores of the base alone or with the adapter on the held-out rows, see `models.training.score.Scores`."""

    loss: float
    chrf: float | None = None
    keywords: float | None = None


class AdapterManifest(Strict):
    """What an adapter is made of and how it scored. `best_step` is the step whose weights were kept."""

    format: Literal[1] = 1
    kind: Literal["lora-adapter"] = "lora-adapter"
    vertical: Vertical | None
    base: BaseRef
    data: DataRef
    settings: TrainSettings
    best_step: int
    scores: dict[Literal["base", "adapter"], ScoreRef]
    tools: dict[str, str]
    files: dict[FileName, Digest] = Field(min_length=1)


def read_manifest(folder: Path) -> AdapterManifest:
    """The manifest of an adapter's folder; its files are not looked at. Raises TrainingError."""
    try:
        return AdapterManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        raise TrainingError(
            f"{folder / MANIFEST}: is missing or no adapter's manifest; train the adapter again.",
            "清单文件缺失或不合规范，请重新训练适配器。",
        ) from None


def adapter_digest(folder: Path) -> str:
    """The SHA-256 of the manifest, once every file but the card is what the manifest says. Raises TrainingError."""
    manifest = read_manifest(folder)
    found = {path.name: file_digest(path) for path in sorted(folder.iterdir()) if path.name not in (MANIFEST, CARD)}
    wrong = sorted(name for name in {*found, *manifest.files} if found.get(name) != manifest.files.get(name))
    if wrong:
        raise TrainingError(
            f"{folder / wrong[0]}: is missing, added or changed since training; copy the whole folder again.",
            "适配器文件缺失、多余或被修改，请重新复制整个目录。",
        )
    try:
        check_weights(folder)
    except WeightsError as error:
        raise TrainingError(error.en, error.zh) from None
    return file_digest(folder / MANIFEST)

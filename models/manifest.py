"""The manifest of a quantized artefact: base -> calibration -> recipe -> files, each by its digest.

Nothing in it says when or where it was made, so that the same run twice gives the same bytes.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import Field, ValidationError, field_validator

from configs.bilingual import BilingualError
from configs.sections.catalog import Digest, ModelId, Scheme
from configs.strict import Strict
from models.weights import WeightsError, check_weights

MANIFEST = "MANIFEST.json"
RECIPE: Final = "recipe.yaml"
BESIDE = frozenset({MANIFEST, "README.md", "EVALUATION.json", "EVALUATION.html"})
"""Files that an artefact's folder may hold and its manifest does not name: they are written or changed later."""

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]


class ArtefactError(BilingualError):
    """An artefact's folder is not what its manifest says; the message names the file and the mend."""


class BaseRef(Strict):
    """The unquantized model: its catalog id and the digest of its folder (`models.catalog.folder_digest`)."""

    id: ModelId
    digest: Digest


class CalibrationRef(Strict):
    """The calibration data that was used: digest of the file, rows and tokens after cutting."""

    sha256: Digest
    rows: int = Field(ge=1)
    tokens: int = Field(ge=1)


class RecipeRef(Strict):
    """The recipe's file in the folder and its digest."""

    file: Literal["recipe.yaml"] = RECIPE
    sha256: Digest


class ArtefactManifest(Strict):
    """What an artefact is made of. `tools` are names and versions; `files` are names in the folder and digests."""

    format: Literal[1] = 1
    scheme: Scheme
    base: BaseRef
    calibration: CalibrationRef | None
    recipe: RecipeRef
    seed: int = Field(ge=0)
    tools: dict[str, str]
    files: dict[FileName, Digest] = Field(min_length=1)

    @field_validator("files")
    @classmethod
    def _only_what_is_fixed(cls, files: dict[str, str]) -> dict[str, str]:
        wrong = sorted(BESIDE & set(files))
        if wrong:
            raise ValueError(f"{', '.join(wrong)} can't be named here: it is written later")
        return files


def write_manifest(
    folder: Path,
    *,
    scheme: Scheme,
    base: BaseRef,
    calibration: CalibrationRef | None,
    seed: int,
    tools: dict[str, str],
) -> str:
    """Describe a finished folder, `recipe.yaml` included; returns the artefact's digest. Raises ArtefactError."""
    files = {path.name: file_digest(path) for path in _files(folder) if path.name not in BESIDE}
    if RECIPE not in files:
        raise ArtefactError(f"{folder / RECIPE}: is missing; write the recipe first.", "缺少 recipe.yaml。")
    manifest = ArtefactManifest(
        scheme=scheme,
        base=base,
        calibration=calibration,
        recipe=RecipeRef(sha256=files[RECIPE]),
        seed=seed,
        tools=dict(sorted(tools.items())),
        files=files,
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return artefact_digest(folder)


def read_manifest(folder: Path) -> ArtefactManifest:
    """The manifest of an artefact's folder; its files are not looked at. Raises ArtefactError."""
    path = folder / MANIFEST
    try:
        return ArtefactManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ArtefactError(
            f"{path}: no such file; name a folder that `opcgate quantize run` wrote.",
            "找不到清单文件，请指定由 `opcgate quantize run` 生成的目录。",
        ) from None
    except OSError as error:
        raise ArtefactError(f"{path}: can't be read ({error.strerror}).", "清单文件无法读取。") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "(file)"
        raise ArtefactError(
            f"{path}: {where}: {first['msg']}; quantize again rather than mend it by hand.",
            "清单文件不合规范，请重新量化，不要手工修改。",
        ) from None


def artefact_digest(folder: Path) -> str:
    """The SHA-256 of the manifest, once every file in the folder is what the manifest says. Raises ArtefactError."""
    manifest = read_manifest(folder)
    found = {path.name: path for path in _files(folder) if path.name not in BESIDE}
    for name in sorted(set(manifest.files) - set(found)):
        raise ArtefactError(f"{folder / name}: is missing; copy the whole folder again.", "文件缺失，请重新复制目录。")
    for name in sorted(set(found) - set(manifest.files)):
        raise ArtefactError(f"{folder / name}: is not in the manifest; remove it.", "该文件不在清单中，请将其移除。")
    try:
        check_weights(folder)
    except WeightsError as error:
        raise ArtefactError(error.en, error.zh) from None
    for name, path in sorted(found.items()):
        if file_digest(path) != manifest.files[name]:
            raise ArtefactError(
                f"{path}: was changed after the manifest was written; copy or quantize it again.",
                "文件内容与清单不符，请重新复制或重新量化。",
            )
    _check_chain(folder, manifest)
    return file_digest(folder / MANIFEST)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> list[Path]:
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in paths:
        if not path.is_file():
            raise ArtefactError(f"{path}: is not a plain file; remove it.", "该路径不是普通文件，请将其移除。")
    return paths


def _check_chain(folder: Path, manifest: ArtefactManifest) -> None:
    """The recipe names base and calibration too, and its digest is in the manifest: the links must agree."""
    path = folder / RECIPE
    wrong = manifest.files.get(RECIPE) != manifest.recipe.sha256
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
        calibration = recipe["calibration"]
        wrong = wrong or recipe["base"] != manifest.base.model_dump()
        wrong = wrong or recipe["scheme"] != manifest.scheme or recipe["seed"] != manifest.seed
        wrong = wrong or (calibration and calibration["sha256"]) != (
            manifest.calibration and manifest.calibration.sha256
        )
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError):
        wrong = True
    if wrong:
        raise ArtefactError(
            f"{path}: names another base, calibration, scheme or seed than {MANIFEST}; quantize again.",
            "配方文件与清单中的基础模型、校准数据、方案或随机种子不一致，请重新量化。",
        )

"""Admitting a quantized variant to the catalog: checked first, written in one step, or not at all."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from configs.bilingual import BilingualError
from configs.loader import SettingsError, load_admitted, load_catalog, variants_path
from configs.sections.catalog import AdmittedVariants, CatalogSettings, ModelSettings, VariantSettings
from configs.whole_file import replace_file
from models.catalog import ROOT, Catalog
from models.manifest import ArtefactError, BaseRef, artefact_digest, file_digest, read_manifest
from models.snapshot import SnapshotError

REPORT = "EVALUATION.json"
HEADER = "# Admitted variants; `opcgate quantize evaluate --admit` writes this file. 由准入命令写入，请勿手工修改。\n"


class AdmissionError(BilingualError):
    """A variant is not admitted; the message says why, in both languages. The catalog is as it was."""


def admit(catalog_path: Path, model_id: str, variant: VariantSettings, root: Path = ROOT) -> None:
    """Write a variant into the file beside the catalog, in place of an older one of its scheme.

    The artefact, its base and its report are checked first. Raises AdmissionError, CatalogError, SettingsError or
    OSError, and then nothing was changed.
    """
    with _alone(catalog_path):
        settings, admitted = load_catalog(catalog_path), load_admitted(catalog_path)
        check_artefact(Catalog(settings, root), model_id, variant)
        others = [one for one in admitted.root.get(model_id, ()) if one.scheme != variant.scheme]
        schemes = sorted([*others, variant], key=lambda one: one.scheme)
        new = AdmittedVariants(admitted.root | {model_id: tuple(schemes)})
        _check_whole(settings, admitted, new)
        content = yaml.safe_dump(new.model_dump(mode="json"), allow_unicode=True, sort_keys=True)
        replace_file(variants_path(catalog_path), HEADER + content)


def check_artefact(catalog: Catalog, model_id: str, variant: VariantSettings) -> None:
    """The artefact is whole, of this scheme and this base, and has the report that is named. Raises AdmissionError."""
    base = catalog.base(model_id)
    folder = catalog.variant_folder(variant)
    try:
        digest, manifest = artefact_digest(folder), read_manifest(folder)
    except ArtefactError as error:
        raise AdmissionError(error.en, error.zh) from None
    if digest != variant.digest:
        raise AdmissionError(
            f"{folder}: has the digest {digest}, not {variant.digest}; evaluate it again.",
            "产物摘要与评估时不一致，请重新评估。",
        )
    if manifest.scheme != variant.scheme or manifest.base.id != model_id:
        raise AdmissionError(
            f"{folder}: is {manifest.base.id} as {manifest.scheme}, not {model_id} as {variant.scheme}.",
            "产物的基础模型或量化方案与登记不符。",
        )
    check_base(catalog, base, manifest.base, folder)
    report = folder / REPORT
    if not report.is_file() or file_digest(report) != variant.evaluation:
        raise AdmissionError(
            f"{report}: is missing, or not the report that was named; evaluate again.",
            "评估报告缺失或已变化，请重新评估。",
        )


def check_base(catalog: Catalog, base: ModelSettings, made_from: BaseRef, folder: Path) -> None:
    """The artefact was made from the weights that the catalog has. Raises AdmissionError, CatalogError."""
    try:
        known = catalog.weights_digest(base)
    except SnapshotError as error:
        raise AdmissionError(error.en, error.zh) from None
    if made_from.digest != known:
        raise AdmissionError(
            f"{folder}: was made from {base.id} with the digest {made_from.digest}, and the catalog's has {known}; "
            "quantize again from the catalog's.",
            "产物所依据的基础模型与目录中的不一致，请用目录中的模型重新量化。",
        )


def _check_whole(settings: CatalogSettings, before: AdmittedVariants, new: AdmittedVariants) -> None:
    """The catalog must still load afterwards: no scheme twice, no id twice."""
    models = []
    for base in settings.models:
        gone = {one.scheme for one in before.root.get(base.id, ())}
        kept = [one for one in base.variants if one.scheme not in gone]
        variants = [one.model_dump() for one in (*kept, *new.root.get(base.id, ()))]
        models.append(base.model_dump() | {"variants": variants})
    try:
        CatalogSettings.model_validate({"models": models})
    except ValueError as error:
        raise AdmissionError(
            f"the catalog would not load with it: {error}; take the variant out of the catalog file first.",
            "加入后目录将无法加载，请先从目录文件中移除同名版本。",
        ) from None


@contextmanager
def _alone(catalog_path: Path) -> Iterator[None]:
    """Two admissions at once would each write without the other's."""
    try:
        with catalog_path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except FileNotFoundError:
        raise SettingsError(f"{catalog_path}: no such file.") from None

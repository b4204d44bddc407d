"""Are the weights of the catalog what it says: digests of bases, variants and adapters, and each artefact's chain."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from configs.schema import ModelSettings
from configs.sections.catalog import VariantSettings, variant_id
from models.admission import AdmissionError, check_artefact
from models.catalog import Catalog, CatalogError
from models.snapshot import SnapshotError, changed_files

Kind = Literal["base", "variant", "adapter"]


@dataclass(frozen=True, slots=True)
class Check:
    """One base, variant or adapter. `absent` is a hub's model that isn't on this machine; `said` says what is wrong."""

    id: str
    kind: Kind
    outcome: Literal["ok", "wrong", "absent"]
    digest: str | None = None
    pinned: bool = False
    said: str = ""


def verify(catalog: Catalog, only: str | None = None) -> Iterator[Check]:
    """Check every model, or one with its variants and adapters. Raises CatalogError for an unknown one."""
    for base in catalog.settings.models if only is None else (catalog.base(only),):
        yield _checked(base.id, "base", _pinned(base), partial(_base, catalog, base))
        for variant in base.variants:
            yield _checked(
                variant_id(base.id, variant.scheme), "variant", True, partial(_chain, catalog, base, variant)
            )
        for adapter in base.adapters:
            yield _checked(adapter.id, "adapter", adapter.digest is not None, partial(catalog.adapter_digest, adapter))


def _pinned(base: ModelSettings) -> bool:
    return (base.digest or base.source.revision) is not None


def _checked(public_id: str, kind: Kind, pinned: bool, work: Callable[[], str]) -> Check:
    try:
        return Check(public_id, kind, "ok", work(), pinned)
    except Absent as error:
        return Check(public_id, kind, "absent", pinned=pinned, said=str(error))
    except (AdmissionError, CatalogError) as error:
        return Check(public_id, kind, "wrong", pinned=pinned, said=str(error))


class Absent(Exception):
    """A hub's model that is not on this machine."""


def _base(catalog: Catalog, base: ModelSettings) -> str:
    """The digest of the base's files. Raises CatalogError, Absent."""
    try:
        folder = catalog.weights_folder(base)
    except SnapshotError as error:
        raise Absent(str(error)) from None
    if catalog.folder(base) is None and (changed := changed_files(folder)):
        raise CatalogError(
            f"{folder / changed[0]}: isn't what the hub had; delete it and run `opcgate models pull {base.id}`.",
            "文件与模型站不一致，请删除后重新下载。",
        )
    return catalog.weights_digest(base)


def _chain(catalog: Catalog, base: ModelSettings, variant: VariantSettings) -> str:
    """The artefact's digest: its files, its base, its report. Raises AdmissionError, CatalogError."""
    check_artefact(catalog, base.id, variant)
    return variant.digest

"""The catalog: public model ids, the names under which engines serve them, and digests of local weights."""

import hashlib
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from configs.bilingual import BilingualError
from configs.compatibility import carries_adapters
from configs.schema import AdapterSettings, CatalogSettings, ModelSettings
from configs.sections.catalog import Hardware, PublicModel, VariantSettings, variant_id
from models.manifest import ArtefactError, artefact_digest
from models.snapshot import snapshot_folder
from models.weights import WeightsError, check_weights

ROOT = Path(__file__).resolve().parent.parent
DIGEST_CHARS = 12


class CatalogError(BilingualError):
    """A model or adapter of the catalog can't be used; the message says which and what to do, in both languages."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One id that callers may name. `served_name` is the engine's name for exactly these weights.

    `variant` is the quantized artefact that answers; an adapter's digest on one covers both.
    """

    id: str
    served_name: str
    digest: str
    base: ModelSettings
    adapter: AdapterSettings | None = None
    adapter_path: Path | None = None
    variant: VariantSettings | None = None

    @property
    def own_id(self) -> str:
        """The id of the base or adapter itself, whatever weights answer."""
        return self.adapter.id if self.adapter else self.base.id

    @property
    def lineage(self) -> tuple[str, ...]:
        """This id and those it is made from, nearest first; what isn't set for one holds as for the next."""
        ids = [self.id, self.own_id]
        if self.adapter and self.variant and self.id != self.own_id:
            ids.append(variant_id(self.base.id, self.variant.scheme))
        return tuple(dict.fromkeys([*ids, self.base.id]))

    @property
    def parent(self) -> str | None:
        """The id of the model that an adapter is on, or of the base that a variant is of."""
        if self.adapter is None:
            return self.base.id if self.id != self.base.id else None
        return self.lineage[-2] if len(self.lineage) == 4 else self.base.id

    @property
    def quantization(self) -> str | None:
        """The scheme of the weights that answer; None for unquantized ones."""
        return self.variant.scheme if self.variant else self.base.quantization

    @property
    def vertical(self) -> str | None:
        """The trade that it was made for: the adapter's own, else the base's."""
        return (self.adapter.vertical if self.adapter else None) or self.base.vertical


@dataclass(frozen=True, slots=True)
class Probe:
    """The smallest request that only an engine can answer that really serves a model."""

    path: str
    body: dict[str, Any]
    answers_in: str

    def is_answered_by(self, answer: dict[str, Any]) -> bool:
        """Whether that is an answer."""
        return bool(answer.get(self.answers_in))


def probe(base: ModelSettings, served_name: str) -> Probe:
    """The probe of a model: one token, or one vector."""
    if base.kind == "embed":
        return Probe("/v1/embeddings", {"model": served_name, "input": "1"}, "data")
    body = {"model": served_name, "prompt": "1", "max_tokens": 1, "temperature": 0}
    return Probe("/v1/completions", body, "choices")


class Catalog:
    """Every served model by public id; built once from the catalog file. Digests are read once each."""

    def __init__(self, settings: CatalogSettings, root: Path = ROOT) -> None:
        self.settings = settings
        self._bases = {entry.id: entry for entry in settings.models}
        self._public = settings.public_ids()
        self._root = root
        self._digests: dict[Path, str] = {}

    def base(self, model_id: str) -> ModelSettings:
        """The base model with this id. Raises CatalogError."""
        if model_id not in self._bases:
            raise CatalogError(
                f"model '{model_id}' isn't in the catalog; it has {', '.join(self._bases)}.", "模型目录中没有该模型。"
            )
        return self._bases[model_id]

    def variant(self, base: ModelSettings, scheme: str | None) -> VariantSettings | None:
        """The variant of this scheme, in any case of letters; without one, what the base's id is answered from.

        Raises CatalogError.
        """
        wanted = (scheme or base.served_variant or "").lower()
        found = next((one for one in base.variants if one.scheme == wanted), None)
        if wanted and found is None:
            has = ", ".join(one.scheme for one in base.variants) or "none"
            raise CatalogError(
                f"model '{base.id}' has no variant '{scheme}'; it has {has}. Make one with `opcgate quantize run` "
                "and admit it with `opcgate quantize evaluate --admit`.",
                "该模型没有这个量化版本。",
            )
        return found

    def weights(self, base: ModelSettings, scheme: str | None = None) -> str:
        """What vLLM's --model takes: an existing local folder, or a hub id. Raises CatalogError."""
        source = base.source
        variant = self.variant(base, scheme)
        path = self.folder(base) if variant is None else self._root / variant.path
        if path is None:
            return source.huggingface or source.modelscope or ""
        if variant is not None:
            self._variant_digest(base, variant)
            return str(path)
        if not (path / "config.json").is_file():
            raise CatalogError(
                f"model '{base.id}': {path} holds no config.json; run `opcgate models build-starter` "
                f"or correct source.{source.kind()} in the catalog.",
                "模型目录缺少 config.json。",
            )
        _check(path, f"model '{base.id}'")
        return str(path)

    def folder(self, base: ModelSettings) -> Path | None:
        """Where the weights are on this machine, or None for a hub's. Raises CatalogError for a missing package."""
        if base.source.path is not None:
            return self._root / base.source.path
        if base.source.package is None:
            return None
        package, _, inside = base.source.package.partition("/")
        found = find_spec(package)
        if found is None or found.origin is None:
            raise CatalogError(
                f"model '{base.id}': the package {package} is not installed; install it, or correct "
                "source.package in the catalog.",
                "未安装该模型的软件包。",
            )
        return Path(found.origin).parent / inside

    def weights_folder(self, base: ModelSettings) -> Path:
        """Where the unquantized weights are on this machine, even where a variant answers the base's id; a hub's in its
        cache. Raises CatalogError, SnapshotError."""
        if self.folder(base) is None:
            return snapshot_folder(base)
        return Path(self.weights(base.model_copy(update={"served_variant": None})))

    def weights_digest(self, base: ModelSettings) -> str:
        """Of the unquantized weights' files: the pinned one, where one is. Raises CatalogError, SnapshotError."""
        if self.folder(base) is None:
            return folder_digest(snapshot_folder(base))
        return self.base_digest(base)

    def variant_folder(self, variant: VariantSettings) -> Path:
        """Where a variant's artefact is."""
        return self._root / variant.path

    def adapter_folder(self, adapter: AdapterSettings) -> Path:
        """Where an adapter's weights are."""
        return self._root / adapter.path

    def public(self, public_id: str) -> PublicModel:
        """What a public id stands for. Raises CatalogError."""
        if public_id not in self._public:
            raise CatalogError(
                f"not in the catalog: {public_id}; it has {', '.join(self._public)}.", "模型目录中没有该模型。"
            )
        return self._public[public_id]

    def served(self, model_ids: tuple[str, ...]) -> dict[str, ServedModel]:
        """The named models, ready to serve. Raises CatalogError for an unknown id, or one that nothing can serve."""
        wanted = {one: self.public(one) for one in model_ids}
        families = dict.fromkeys((one.base.id, one.variant.scheme if one.variant else None) for one in wanted.values())
        known = {model.id: model for base_id, scheme in families for model in self.family(base_id, scheme)}
        for one, meant in wanted.items():
            if one not in known:
                support = carries_adapters(meant.scheme)
                raise CatalogError(f"'{one}' can't be served: {support.why_en}", support.why_zh)
        return {one: known[one] for one in model_ids}

    def family(
        self, base_id: str, scheme: str | None = None, hardware: Hardware | None = None, *, plain: bool = False
    ) -> list[ServedModel]:
        """What an engine with this base, or this variant of it, serves: the model, its adapters, and their other ids.

        Adapters are left out where the compatibility matrix says no; without `hardware`, only if it does so everywhere.
        Where the base's own id is answered from this variant, the own ids stand beside the variant's, under the same
        names in the engine. `plain` is the unquantized base, even where a variant answers its id. Raises CatalogError.
        """
        base = self.base(base_id)
        variant = None if plain else self.variant(base, scheme)
        if variant is None:
            family = [ServedModel(base.id, base.id, self.base_digest(base), base)]
        else:
            public_id, digest = variant_id(base.id, variant.scheme), self._variant_digest(base, variant)
            family = [ServedModel(public_id, _name(public_id, digest), digest, base, variant=variant)]
        if carries_adapters(variant.scheme if variant else None, hardware).verdict != "no":
            family += [self._adapted(family[0], one) for one in base.adapters]
        if variant is not None and base.served_variant == variant.scheme:
            family += [replace(one, id=one.adapter.id if one.adapter else base.id) for one in family]
        return family

    def _adapted(self, model: ServedModel, adapter: AdapterSettings) -> ServedModel:
        path, digest = self.adapter_folder(adapter), self.adapter_digest(adapter)
        public_id = adapter.id
        if model.variant is not None:
            # The same adapter on other weights is another model, so both digests go into the name.
            digest = hashlib.sha256(f"{model.digest}\n{digest}\n".encode()).hexdigest()
            public_id = variant_id(adapter.id, model.variant.scheme)
        name = _name(public_id, digest)
        return ServedModel(public_id, name, digest, model.base, adapter, path, model.variant)

    def adapter_digest(self, adapter: AdapterSettings) -> str:
        """The digest of an adapter's files, which are whole and as pinned. Raises CatalogError."""
        path, what = self.adapter_folder(adapter), f"adapter '{adapter.id}'"
        digest = self._pinned(path, adapter.digest, what)
        _check(path, what)
        return digest

    def base_digest(self, base: ModelSettings) -> str:
        """Of the files for local weights; of source and revision for a hub's, which the hub pins."""
        path = self.folder(base)
        if path is not None:
            return self._pinned(path, base.digest, f"model '{base.id}'")
        return hashlib.sha256(base.source.model_dump_json(exclude={"package"}).encode()).hexdigest()

    def _pinned(self, folder: Path, pinned: str | None, what: str) -> str:
        """A folder's digest, which is the one that the catalog pins, if it pins one. Raises CatalogError."""
        digest = self._digests.get(folder) or folder_digest(folder)
        self._digests[folder] = digest
        if pinned is not None and digest != pinned:
            raise CatalogError(
                f"{what}: {folder} has the digest {digest}, and the catalog pins {pinned}; get the files that were "
                "meant, or pin the new digest once they are reviewed.",
                "文件摘要与目录中登记的不一致，请恢复原文件，或复核后更新目录中的摘要。",
            )
        return digest

    def _variant_digest(self, base: ModelSettings, variant: VariantSettings) -> str:
        """The artefact's digest: the admitted one, every file as its manifest says. Raises CatalogError."""
        folder, what = self.variant_folder(variant), f"variant '{variant_id(base.id, variant.scheme)}'"
        try:
            digest = self._digests.get(folder) or artefact_digest(folder)
        except ArtefactError as error:
            raise CatalogError(f"{what}: {error.en}", error.zh) from None
        self._digests[folder] = digest
        if digest != variant.digest:
            raise CatalogError(
                f"{what}: {folder} has the digest {digest}, and {variant.digest} was admitted; restore the artefact, "
                "or evaluate and admit this one (`opcgate quantize evaluate --admit`).",
                "量化产物的摘要与准入时不一致，请恢复原产物，或重新评估并准入。",
            )
        return digest


def _check(folder: Path, what: str) -> None:
    try:
        check_weights(folder)
    except WeightsError as error:
        raise CatalogError(f"{what}: {error.en}", error.zh) from None


def _name(public_id: str, digest: str) -> str:
    return f"{public_id}@{digest[:DIGEST_CHARS]}"


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of a folder's files, in name order. Raises CatalogError when empty."""
    total = hashlib.sha256()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise CatalogError(f"{folder} is empty or missing; build it or correct the catalog.", "目录为空或不存在。")
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return total.hexdigest()

"""The catalog: public model ids, the names under which engines serve them, and digests of local weights."""

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from configs.schema import AdapterSettings, CatalogSettings, ModelSettings

ROOT = Path(__file__).resolve().parent.parent
DIGEST_CHARS = 12


class CatalogError(Exception):
    """A model or adapter of the catalog can't be used; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One id that callers may name. `served_name` is the engine's name for exactly these weights."""

    id: str
    served_name: str
    digest: str
    base: ModelSettings
    adapter: AdapterSettings | None = None
    adapter_path: Path | None = None

    @property
    def parent(self) -> str | None:
        """The base model's id, for an adapter."""
        return self.base.id if self.adapter else None


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
    """Every served model by public id; built once from the catalog file."""

    def __init__(self, settings: CatalogSettings, root: Path = ROOT) -> None:
        self._bases = {entry.id: entry for entry in settings.models}
        self._root = root

    def base(self, model_id: str) -> ModelSettings:
        """The base model with this id. Raises CatalogError."""
        if model_id not in self._bases:
            raise CatalogError(f"model '{model_id}' isn't in the catalog; it has {', '.join(self._bases)}")
        return self._bases[model_id]

    def weights(self, base: ModelSettings) -> str:
        """What vLLM's --model takes: an existing local folder, or a hub id. Raises CatalogError."""
        source = base.source
        path = self._folder(base)
        if path is None:
            return source.huggingface or source.modelscope or ""
        if not (path / "config.json").is_file():
            raise CatalogError(
                f"model '{base.id}': {path} holds no config.json; run `opcgate models build-starter` "
                f"or correct source.{source.kind()} in the catalog"
            )
        return str(path)

    def _folder(self, base: ModelSettings) -> Path | None:
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
                "source.package in the catalog"
            )
        return Path(found.origin).parent / inside

    def served(self, model_ids: tuple[str, ...]) -> dict[str, ServedModel]:
        """The named bases and adapters, ready to serve. Raises CatalogError for an unknown id."""
        owners = {base.id: base for base in self._bases.values()}
        owners |= {adapter.id: base for base in self._bases.values() for adapter in base.adapters}
        missing = [one for one in model_ids if one not in owners]
        if missing:
            raise CatalogError(f"not in the catalog: {', '.join(missing)}")
        base_ids = dict.fromkeys(owners[one].id for one in model_ids)
        known = {model.id: model for base_id in base_ids for model in self.family(base_id)}
        return {one: known[one] for one in model_ids}

    def family(self, base_id: str) -> list[ServedModel]:
        """A base model and its adapters, each adapter under a name unique to its content. Raises CatalogError."""
        base = self.base(base_id)
        family = [ServedModel(base.id, base.id, self._base_digest(base), base)]
        for adapter in base.adapters:
            path = self._root / adapter.path
            digest = folder_digest(path)
            name = f"{adapter.id}@{digest[:DIGEST_CHARS]}"
            family.append(ServedModel(adapter.id, name, digest, base, adapter, path))
        return family

    def _base_digest(self, base: ModelSettings) -> str:
        """Of the files for local weights; of source and revision for a hub's, which the hub pins."""
        path = self._folder(base)
        if path is not None:
            return folder_digest(path)
        return hashlib.sha256(base.source.model_dump_json(exclude={"package"}).encode()).hexdigest()


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of a folder's files, in name order. Raises CatalogError when empty."""
    total = hashlib.sha256()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise CatalogError(f"{folder} is empty or missing; build it or correct the catalog")
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return total.hexdigest()

"""Read settings files into typed settings, with errors that name the file, the field and the mend."""

import os
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from configs.schema import CatalogSettings, Settings
from configs.sections.admission import AdmissionSettings, VerticalAdmission
from configs.sections.catalog import AdmittedVariants
from configs.sections.compatibility import CompatibilitySettings

CONFIG_DIR = Path(__file__).resolve().parent
DEFAULT_PATH = CONFIG_DIR / "opcgate.yaml"
S = TypeVar("S", bound=BaseModel)


class SettingsError(Exception):
    """A settings file can't be read or breaks the schema; the message names file, field and mend."""


def load_settings(path: Path | None = None) -> Settings:
    """Load a deployment's settings; paths in it are resolved against the file's own folder.

    The file is `path`, else `$OPCGATE_CONFIG`, else `configs/opcgate.yaml`. `$OPCGATE_DATABASE_URL`
    overrides the database, so that its password need not be written into a file.
    Raises SettingsError.
    """
    chosen = path or Path(os.environ.get("OPCGATE_CONFIG", DEFAULT_PATH))
    settings = _parse(Settings, chosen)
    base = chosen.resolve().parent
    compliance = settings.compliance
    database = settings.database
    if url := os.environ.get("OPCGATE_DATABASE_URL"):
        database = _validated(type(database), database.model_dump() | {"url": url}, "$OPCGATE_DATABASE_URL")
    return settings.model_copy(
        update={
            "database": database,
            "catalog": base / settings.catalog,
            "compliance": compliance.model_copy(
                update={
                    "policy": base / compliance.policy,
                    "policy_folders": tuple(base / one for one in compliance.policy_folders),
                    "lexicons": tuple(base / one for one in compliance.lexicons),
                    "allow_lists": tuple(base / one for one in compliance.allow_lists),
                    "injection": base / compliance.injection if compliance.injection else None,
                }
            ),
        }
    )


def load_catalog(path: Path) -> CatalogSettings:
    """Load a catalog file with the variants admitted to it. Local paths stay as written. Raises SettingsError."""
    raw, beside = _read(path), variants_path(path)
    where = str(path)
    if beside.is_file() and isinstance(raw, dict) and isinstance(raw.get("models"), list):
        admitted = load_admitted(path)
        models = [one for one in raw["models"] if isinstance(one, dict)]
        unknown = sorted(admitted.root.keys() - {one.get("id") for one in models})
        if unknown:
            raise SettingsError(f"{beside}: {path} has no model {', '.join(unknown)}; take it out. 目录中没有该模型。")
        raw = {**raw, "models": [_with_admitted(one, admitted) for one in raw["models"]]}
        where = f"{path} with {beside.name}"
    return _validated(CatalogSettings, raw, where)


def variants_path(catalog: Path) -> Path:
    """The file beside a catalog file that holds the variants admitted by evaluation: `models.variants.yaml`."""
    return catalog.with_name(f"{catalog.stem}.variants{catalog.suffix}")


def load_admitted(catalog: Path) -> AdmittedVariants:
    """The variants admitted to a catalog file; none without a file. Raises SettingsError."""
    path = variants_path(catalog)
    return _parse(AdmittedVariants, path) if path.is_file() else AdmittedVariants({})


def _with_admitted(model: object, admitted: AdmittedVariants) -> object:
    if not isinstance(model, dict) or model.get("id") not in admitted.root:
        return model
    variants = [one.model_dump(mode="json") for one in admitted.root[model["id"]]]
    return model | {"variants": [*(model.get("variants") or ()), *variants]}


def load_compatibility(path: Path) -> CompatibilitySettings:
    """Load a compatibility matrix. Raises SettingsError."""
    return _parse(CompatibilitySettings, path)


def load_admission(path: Path) -> AdmissionSettings:
    """Load the bars of admission; the tables' paths are resolved against the file's folder. Raises SettingsError."""
    raw = _parse(AdmissionSettings, path)
    base = path.resolve().parent
    return AdmissionSettings(
        default=_with_paths(raw.default, base),
        verticals={name: _with_paths(one, base) for name, one in raw.verticals.items()},
    )


def _with_paths(settings: VerticalAdmission, base: Path) -> VerticalAdmission:
    data = settings.data
    found: dict[str, object] = {"text": base / data.text if data.text else None}
    found |= {use: tuple(base / one for one in getattr(data, use)) for use in ("tasks", "harmful", "ordinary")}
    return settings.model_copy(update={"data": data.model_copy(update=found)})


def _parse(schema: type[S], path: Path) -> S:
    return _validated(schema, _read(path), str(path))


def _read(path: Path) -> object:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file. Name an existing one with --config.") from None
    except OSError as error:
        raise SettingsError(f"{path}: can't be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8. Save it as UTF-8.") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f":{where.line + 1}" if where else ""
        raise SettingsError(f"{path}{line}: is not YAML ({getattr(error, 'problem', error)}).") from None
    return {} if raw is None else raw


def _validated(schema: type[S], raw: object, where: str) -> S:
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in one['loc']) or '(file)'}: {one['msg']}" for one in error.errors()]
        raise SettingsError(f"{where}: " + "; ".join(lines)) from None

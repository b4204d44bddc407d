"""What is fixed before the run: which weights, which rows, which bars. What can be refused is refused here."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from configs.loader import load_admission
from configs.sections.admission import DataSettings
from configs.sections.catalog import ModelSettings
from models.admission import check_base
from models.catalog import Catalog, CatalogError
from models.manifest import ArtefactError, ArtefactManifest, artefact_digest, file_digest, read_manifest
from quantize.evaluate.heldout import starter_held_out
from quantize.evaluate.result import DataRef, Plan
from quantize.evaluate.rows import EvaluationError, Row, Table, first_rows, read_table

STARTER = "opc-starter"
QUICK_ROWS = 8
QUICK_TOKENS = 64
Use = Literal["text", "tasks", "harmful", "ordinary"]


@dataclass(frozen=True, slots=True)
class Data:
    """The rows by what they are used for."""

    text: tuple[Row, ...]
    tasks: tuple[Row, ...]
    harmful: tuple[Row, ...]
    ordinary: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan, and what it stands for on this machine."""

    plan: Plan
    model: ModelSettings
    base_weights: Path
    artefact: Path
    data: Data

    @property
    def digest(self) -> str:
        """Of the plan, to be shown before the run."""
        return hashlib.sha256(self.plan.model_dump_json().encode()).hexdigest()


def prepare(
    catalog: Catalog, artefact: Path, admission: Path, *, model: str | None, text: Path | None, quick: bool
) -> Prepared:
    """Check artefact, base, bars and data. Raises AdmissionError, ArtefactError, CatalogError, EvaluationError,
    SettingsError."""
    digest, manifest = artefact_digest(artefact), read_manifest(artefact)
    if model is not None and model != manifest.base.id:
        raise ArtefactError(
            f"{artefact}: was made from {manifest.base.id}, not from {model}; leave --model out.",
            "该产物并非由所指定的模型量化而来。",
        )
    base = catalog.base(manifest.base.id)
    _check_base(catalog, base, manifest, artefact)
    settings = load_admission(admission).of(base.vertical)
    tables = _read_data(settings.data, text, base.id, QUICK_ROWS if quick else None)
    plan = Plan(
        model=base.id,
        scheme=manifest.scheme,
        vertical=base.vertical,
        artefact=digest,
        base=manifest.base.digest,
        data=tuple(
            DataRef(use=use, name=table.name, sha256=table.sha256, rows=len(table.rows)) for use, table in tables
        ),
        kinds=settings.data.kinds,
        longest_answer_tokens=min(settings.data.longest_answer_tokens, QUICK_TOKENS if quick else 2**31),
        admission_file=file_digest(admission),
        bars=settings.bars,
        quick=quick,
    )
    return Prepared(plan, base, catalog.weights_folder(base), artefact, _data(tables))


def _check_base(catalog: Catalog, base: ModelSettings, manifest: ArtefactManifest, artefact: Path) -> None:
    check_base(catalog, base, manifest.base, artefact)
    if base.kind != "generate":
        raise CatalogError(
            f"model '{base.id}' makes vectors; only models that write are evaluated.", "向量模型不评估。"
        )


def _read_data(settings: DataSettings, text: Path | None, model: str, most: int | None) -> list[tuple[Use, Table]]:
    chosen = text or settings.text
    if chosen is not None:
        held_out = read_table(chosen, needs_reference=True)
    elif model == STARTER:
        held_out = starter_held_out(most or settings.generated_rows)
    else:
        raise EvaluationError(
            f"model {model} has no held-out text; give --data FILE, or data.text in the admission file.",
            "没有留出数据，请用 --data 指定，或在准入配置中填写 data.text。",
        )
    tables: list[tuple[Use, Table]] = [("text", held_out)]
    tables += [("tasks", read_table(path)) for path in settings.tasks]
    tables += [("harmful", read_table(path)) for path in settings.harmful]
    tables += [("ordinary", read_table(path)) for path in settings.ordinary]
    return [(use, first_rows(table, most)) for use, table in tables]


def _data(tables: list[tuple[Use, Table]]) -> Data:
    def rows(*uses: Use) -> tuple[Row, ...]:
        return tuple(row for use, table in tables if use in uses for row in table.rows)

    # A held-out chat is a task too: its answer is the reference.
    return Data(rows("text"), rows("tasks", "text"), rows("harmful"), rows("ordinary"))

"""`opcgate quantize evaluate`: prepare, run, print, write beside the artefact, admit."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from configs.loader import CONFIG_DIR, SettingsError, load_catalog, load_settings
from configs.sections.catalog import VariantSettings
from configs.whole_file import replace_file
from models.admission import AdmissionError, admit
from models.catalog import ROOT, Catalog, CatalogError
from models.manifest import ArtefactError, artefact_digest, file_digest
from models.stopping import Stopped, signals_stop
from quantize.evaluate.lm_eval import LmEval
from quantize.evaluate.plan import Prepared, prepare
from quantize.evaluate.progress import shown_progress
from quantize.evaluate.result import PAGE, RESULT, Evaluation
from quantize.evaluate.rows import EvaluationError
from quantize.evaluate.run import Options, evaluate
from quantize.evaluate.speed import FULL, QUICK
from quantize.evaluate.summary import summary_rows, with_evaluation
from quantize.report.page import render
from quantize.run.worker import quantize_python

OK, NOT_ADMITTED, FAILED, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True, slots=True)
class Request:
    """The command's options. `out` is another folder for the result than the artefact's own."""

    artefact: Path
    model: str | None = None
    data: Path | None = None
    admission: Path | None = None
    quick: bool = False
    serve: bool = True
    admit: bool = False
    out: Path | None = None
    lm_eval: LmEval | None = None
    limit_minutes: float = 60.0


def lm_eval_of(tasks: str | None, include: Path | None, limit: int | None, *, online: bool) -> LmEval | None:
    """The lm-eval part of a request; its Python is the one that llm-compressor has."""
    if not tasks:
        return None
    return LmEval(quantize_python(), tuple(tasks.split(",")), include, limit, online)


def evaluate_command(config: Path | None, request: Request, *, as_json: bool) -> int:
    """Run it; 0 cleared every bar, 1 missed one, 2 error, 130 interrupted."""
    try:
        with signals_stop():
            return _evaluate(config, request, as_json=as_json)
    except Stopped:
        typer.echo("opcgate quantize: interrupted, nothing was admitted. / 已中断，未准入。", err=True)
        return INTERRUPTED
    except (ArtefactError, CatalogError, EvaluationError, SettingsError, AdmissionError) as error:
        typer.echo(f"opcgate quantize: {error}", err=True)
        return FAILED
    except OSError as error:
        where = error.filename or request.artefact
        typer.echo(f"opcgate quantize: {where}: can't be used ({error.strerror}). / 文件无法读写。", err=True)
        return FAILED


def _evaluate(config: Path | None, request: Request, *, as_json: bool) -> int:
    if request.admit and request.out is not None:
        raise EvaluationError(
            "--admit wants the result beside the artefact; leave --out away.",
            "准入时结果须与产物同目录，请去掉 --out。",
        )
    catalog_path = load_settings(config).catalog
    catalog = Catalog(load_catalog(catalog_path))
    admission = request.admission or CONFIG_DIR / "admission.yaml"
    prepared = prepare(
        catalog, request.artefact, admission, model=request.model, text=request.data, quick=request.quick
    )
    typer.echo(f"plan / 评估计划 sha256 {prepared.digest}", err=True)
    with (
        tempfile.TemporaryDirectory(prefix="opcgate-evaluate-") as logs,
        shown_progress(request.limit_minutes) as report,
    ):
        load = (QUICK if request.quick else FULL) if request.serve else None
        options = Options(load, Path(logs), lm_eval=request.lm_eval)
        evaluation = evaluate(prepared, options, report)
    if artefact_digest(request.artefact) != prepared.plan.artefact:
        raise EvaluationError(
            f"{request.artefact}: was changed while it was measured; evaluate again.",
            "评估期间产物发生变化，请重新评估。",
        )
    write_result(request.out or request.artefact, evaluation)
    if request.admit and evaluation.verdict.admitted:
        admit_artefact(catalog_path, prepared)
    if as_json:
        typer.echo(evaluation.model_dump_json(indent=2))
    else:
        _print(evaluation, admitted=request.admit)
    return OK if evaluation.verdict.admitted else NOT_ADMITTED


def write_result(folder: Path, evaluation: Evaluation) -> None:
    """EVALUATION.json, EVALUATION.html and the card's part, each whole or not at all. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    card = folder / "README.md"
    if card.is_file():
        replace_file(card, with_evaluation(card.read_text(encoding="utf-8"), evaluation))
    replace_file(folder / RESULT, evaluation.model_dump_json(indent=2) + "\n")
    replace_file(folder / PAGE, render([evaluation]))


def admit_artefact(catalog_path: Path, prepared: Prepared) -> None:
    """Hand the artefact and the digest of its result to the catalog. Raises AdmissionError."""
    folder = prepared.artefact.resolve()
    path = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
    variant = VariantSettings(
        scheme=prepared.plan.scheme,
        path=path,
        digest=prepared.plan.artefact,
        evaluation=file_digest(folder / RESULT),
    )
    admit(catalog_path, prepared.plan.model, variant)


def _print(evaluation: Evaluation, *, admitted: bool) -> None:
    console = Console()
    table = Table("measure / 指标", "base / 基础", "variant / 量化", "rows / 数量")
    for cells in summary_rows(evaluation):
        table.add_row(*cells)
    console.print(table)
    verdict = evaluation.verdict
    for reason in verdict.reasons:
        console.print(f"- {reason.en} {reason.zh} ({reason.bar})", soft_wrap=True, markup=False)
    if not verdict.admitted:
        console.print("not admitted / 未准入", style="red")
    elif admitted:
        console.print("admitted to the catalog / 已准入目录", style="green")
    else:
        console.print(
            "clears every bar; --admit puts it into the catalog / 达到全部门槛，可用 --admit 准入", style="green"
        )

"""`opcgate quantize evaluate`: prepare, run, print, write beside the artefact, admit."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from configs.loader import CONFIG_DIR, SettingsError, load_catalog, load_settings
from configs.sections.catalog import VariantSettings
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
from quantize.report.page import render

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
    """The lm-eval part of a request, run by the environment that `make quantize-env` builds."""
    if not tasks:
        return None
    python = ROOT / ".venv-quantize" / "bin" / "python"
    return LmEval(python, tuple(tasks.split(",")), include, limit, online)


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
    """EVALUATION.json and EVALUATION.html, each whole or not at all. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / RESULT, evaluation.model_dump_json(indent=2) + "\n")
    _replace(folder / PAGE, render([evaluation]))


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


def _replace(path: Path, content: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


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


def summary_rows(evaluation: Evaluation) -> list[tuple[str, str, str, str]]:
    """The main measures as cells: name, base, variant, rows."""
    text, rows = evaluation.text, []
    rows.append(
        (
            "perplexity / 困惑度",
            f"{text.base_perplexity:.3f}",
            f"{text.variant_perplexity:.3f}",
            f"{text.tokens} tokens",
        )
    )
    rows.append(("KL / token, mean (p99)", "", f"{text.mean_kl_nats:.4f} ({text.p99_kl_nats:.3f})", f"{text.tokens}"))
    rows.append(("top-1 agreement / 首选一致", "", f"{text.agreement.value:.1%}", f"{text.agreement.of}"))
    rows += [(f"task / 任务: {t.kind}", f"{t.base:.3f}", f"{t.variant:.3f}", f"{t.rows}") for t in evaluation.tasks]
    for name, paired in (
        ("refuses harmful / 有害拒答", evaluation.refusals),
        ("refuses ordinary / 正常误拒", evaluation.over_refusals),
        ("answers with findings / 合规发现", evaluation.compliance.any_risk),
    ):
        rows.append((name, f"{paired.base.value:.1%}", f"{paired.variant.value:.1%}", f"{paired.base.of}"))
    size = evaluation.size
    rows.append(("weights / 权重 MiB", f"{size.base_bytes / 2**20:.2f}", f"{size.variant_bytes / 2**20:.2f}", ""))
    if evaluation.serving is not None:
        both = evaluation.serving
        rows.append(("load / 加载 s", f"{both.base.load_seconds:.1f}", f"{both.variant.load_seconds:.1f}", ""))
        rows.append(("memory / 内存 MiB", f"{both.base.memory_mib:.0f}", f"{both.variant.memory_mib:.0f}", ""))
        for before, after in zip(both.base.levels, both.variant.levels, strict=True):
            name = f"tokens/s at {before.concurrent}"
            rows.append(
                (name, f"{before.tokens_per_second:.0f}", f"{after.tokens_per_second:.0f}", f"{before.requests}")
            )
            name = f"first token / 首词元 ms at {before.concurrent}"
            rows.append((name, f"{before.first_token_p50_ms:.0f}", f"{after.first_token_p50_ms:.0f}", ""))
    rows += [(f"lm-eval {t.task} {t.metric}", f"{t.base:.3f}", f"{t.variant:.3f}", "") for t in evaluation.lm_eval]
    return rows

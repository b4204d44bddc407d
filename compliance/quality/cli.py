"""`opcgate quality report`: measure the shipped scanners on the golden tables."""

import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from compliance.build import build_pipeline, shipped_settings
from compliance.lexicon import load_lexicon
from compliance.quality.baselines import PlainKeywordFilter, PresidioAsItComes
from compliance.quality.report import markdown
from compliance.quality.sections import Measurer, Quality
from compliance.quality.tables import check_tables
from compliance.taxonomy import load_taxonomy
from compliance.verdict import ComplianceError
from configs.loader import DEFAULT_PATH
from configs.schema import ComplianceSettings

_DEADLINE_S = 600.0

quality = typer.Typer(
    help="Measure the scanners on golden tables. / 用标准用例表衡量扫描质量。",
    no_args_is_help=True,
    add_completion=False,
)


@quality.callback()
def _group() -> None:
    """More than one command may come."""


@quality.command()
def report(
    tables: Annotated[Path, typer.Option(help="Folder of the golden tables. / 用例表所在文件夹。")] = Path(
        "tests/cases"
    ),
    out: Annotated[Path, typer.Option(help="Where the report goes. / 报告写到哪里。")] = Path(
        "docs/compliance-quality.md"
    ),
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Also write all counts as JSON. / 另存 JSON。")
    ] = None,
) -> None:
    """Write docs/compliance-quality.md; exit code 2: a table or a rule file is bad. / 生成质量报告。"""
    try:
        if not tables.is_dir():
            raise typer.BadParameter(f"{tables}: no such folder / 文件夹不存在", param_hint="--tables")
        measured = measure(shipped_settings(), tables)
        out.write_text(markdown(measured, datetime.now(UTC).date()), encoding="utf-8")
        if json_out:
            json_out.write_text(measured.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except (ComplianceError, OSError) as error:
        typer.echo(f"opcgate quality: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"written / 已写入: {out}")


def measure(settings: ComplianceSettings, tables: Path) -> Quality:
    """All figures of the shipped rules on these tables. A bad table or rule file is a RulesError."""
    check_tables(tables)
    pipeline = build_pipeline(settings.model_copy(update={"deadline_seconds": _DEADLINE_S}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.warm_up()
    risks = load_taxonomy(DEFAULT_PATH.parent / "taxonomy.yaml").ids
    lexicon = load_lexicon(settings.lexicons, settings.allow_lists, risks)
    plain = PlainKeywordFilter((term.folded, term.risk) for term in lexicon.terms)
    return Measurer(pipeline, plain, PresidioAsItComes(), tables).measure()

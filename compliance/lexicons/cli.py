"""`opcgate lexicon`: import foreign lists, check lists against the bank rules, compare two versions."""

from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NoReturn

import typer

import configs
from compliance.build import build_pipeline, shipped_settings
from compliance.lexicon import list_digest, read_allowed, read_terms
from compliance.lexicons import show
from compliance.lexicons.banks import coverage, load_banks
from compliance.lexicons.diff import diff
from compliance.lexicons.hits import hits, read_sentences
from compliance.lexicons.importing import Meant, as_text, load_tags, select
from compliance.lexicons.sources import Columns, Format, read_source
from compliance.taxonomy import Taxonomy, load_taxonomy
from compliance.verdict import ComplianceError, RulesError
from configs.whole_file import replace_file

OK, NOT_MET, ERROR = 0, 1, 2

_CONFIGS = Path(configs.__file__).parent

lexicon = typer.Typer(
    help="Import, check and compare term lists. / 词库的导入、检查与比较。",
    no_args_is_help=True,
    add_completion=False,
)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object. / 输出 JSON。")]


@lexicon.command(name="import")
def import_command(
    file: Annotated[Path, typer.Argument(help="The foreign list, in UTF-8 or GB18030. / 要导入的词表。")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The term file to write. / 写到哪里。")],
    form: Annotated[Format, typer.Option("--format", help="What the file is like. / 文件格式。")] = Format.auto,
    risk: Annotated[str, typer.Option(help="Risk of entries that name none, an id of configs/taxonomy.yaml.")] = "",
    severity: Annotated[str, typer.Option(help="low, medium or high, for entries that name none.")] = "medium",
    tags: Annotated[Path | None, typer.Option(help="What tags mean: tag<TAB>risk<TAB>severity.")] = None,
    source: Annotated[str, typer.Option(help="Where the list comes from; kept in the column source.")] = "",
    allow: Annotated[list[Path] | None, typer.Option(help="More allowed words, which are left out.")] = None,
    against: Annotated[Path | None, typer.Option(help="Ordinary sentences; warns of terms that hit them.")] = None,
    term_column: Annotated[str, typer.Option(help="The table's column with the terms.")] = "",
    risk_column: Annotated[str, typer.Option(help="The table's column with risks.")] = "",
    severity_column: Annotated[str, typer.Option(help="The table's column with severities.")] = "",
    tags_column: Annotated[str, typer.Option(help="The table's column with tags.")] = "",
    force: Annotated[bool, typer.Option(help="Write over a file that exists. / 覆盖已有文件。")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a term file from a foreign list and say what was left out and why. / 导入外部词表。

    Nothing is written after an error. Exit code 0: written, 2: error.
    """
    try:
        taxonomy = shipped_taxonomy()
        _check_meant(risk, severity, taxonomy)
        if output.exists() and not force:
            raise RulesError(
                f"{output}: exists already; give another name or --force", f"{output}：已存在，请换名或加 --force"
            )
        read = read_source(file, form, Columns(term_column, risk_column, severity_column, tags_column))
        allowed_files = (*shipped_settings().allow_lists, *(allow or ()))
        allowed = frozenset(word for path in allowed_files for word in read_allowed(path))
        meanings = load_tags(tags, taxonomy.ids) if tags else {}
        made = select(read, Meant(risk, severity), meanings, allowed, taxonomy.ids)
        if not made.rows:
            raise RulesError(
                f"{file}: no entry can be taken over; {show.reasons(made, 'en')}",
                f"{file}：没有可导入的词条；{show.reasons(made, 'zh')}",
            )
        text = as_text(made.rows, " ".join((source or file.name).split()), _today())
        warned = _hits(text, output.name, allowed_files, against, taxonomy) if against else []
        replace_file(output, text)
    except ComplianceError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{output}: cannot be written ({error.strerror}) / {output}：无法写入，请检查路径与权限")
    show.imported(output, read, made, warned, as_json)


@lexicon.command()
def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Term files; default: the installed ones.")] = None,
    as_of: Annotated[str, typer.Option(help="Count the age from this date instead of today (2026-11-24).")] = "",
    as_json: AsJson = False,
) -> None:
    """Check term files and count them against the bank rules. / 检查词库并对照数量要求。

    Exit code 0: all rules met, 1: some not met, 2: error.
    """
    try:
        taxonomy = shipped_taxonomy()
        rule = load_banks(_CONFIGS / "banks.yaml").keyword_library
        paths = list(files or shipped_settings().lexicons)
        lists = {path: list(read_terms(path, taxonomy.ids)) for path in paths}
        digests = {path: list_digest(path) for path in lists}
        terms = [term for those in lists.values() for term in those]
        covered = coverage(terms, taxonomy.risks, rule, _date(as_of) if as_of else _today())
    except ComplianceError as error:
        _fail(str(error))
    show.checked({path: (digests[path], len(those)) for path, those in lists.items()}, covered, rule, as_json)
    raise typer.Exit(OK if covered.met else NOT_MET)


@lexicon.command(name="diff")
def diff_command(
    old: Annotated[Path, typer.Argument(help="The term file as it was.")],
    new: Annotated[Path, typer.Argument(help="The term file as it is.")],
    as_json: AsJson = False,
) -> None:
    """Show terms added, removed and changed. / 比较两个版本的词库。

    Exit code 0: the same, 1: they differ, 2: error.
    """
    try:
        ids = shipped_taxonomy().ids
        found = diff(read_terms(old, ids), read_terms(new, ids))
    except ComplianceError as error:
        _fail(str(error))
    show.differences(found, as_json)
    raise typer.Exit(NOT_MET if found else OK)


def shipped_taxonomy() -> Taxonomy:
    return load_taxonomy(_CONFIGS / "taxonomy.yaml")


def _check_meant(risk: str, severity: str, taxonomy: Taxonomy) -> None:
    if risk and risk not in taxonomy.ids:
        raise RulesError(
            f"--risk: {risk!r} is unknown; use an id of configs/taxonomy.yaml",
            f"--risk：{risk!r} 不存在，请用 configs/taxonomy.yaml 里的 id",
        )
    if severity not in ("low", "medium", "high"):
        raise RulesError("--severity: use low, medium or high", "--severity：请用 low、medium 或 high")


def _hits(text: str, name: str, allowed: tuple[Path, ...], against: Path, taxonomy: Taxonomy) -> list[tuple[str, int]]:
    """Terms of the new file, tried before it is written, with the number of sentences that they hit."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        settings = shipped_settings().model_copy(update={"lexicons": (path,), "allow_lists": allowed})
        pipeline = build_pipeline(settings)
        return [
            (term.text, count)
            for term, count in hits(pipeline, read_terms(path, taxonomy.ids), read_sentences(against))
        ]


def _date(given: str) -> date:
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise RulesError(
            f"--as-of: {given!r} is no date; write it like 2026-11-24", "--as-of：请写成 2026-11-24 的形式"
        ) from None


def _today() -> date:
    return datetime.now(UTC).astimezone().date()


def _fail(message: str) -> NoReturn:
    typer.echo(f"opcgate lexicon: {message}", err=True)
    raise typer.Exit(ERROR)

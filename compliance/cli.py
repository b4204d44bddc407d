"""`opcgate scan`: the command's options; what it does is in compliance/scan/."""

from pathlib import Path
from typing import Annotated, NoReturn, cast, get_args

import typer

from compliance.scan.checker import Checker, pipeline_for
from compliance.scan.inputs import AUTO, InputError, known_encoding
from compliance.scan.report import let_go_of_stdout
from compliance.scan.run import ERROR, json_lines, many_files, one_text
from compliance.scan.tree import select
from compliance.verdict import ComplianceError, Direction, Surface

INTERRUPTED = 130

scan = typer.Typer(help="Scan text through the compliance pipeline. / 文本合规检查。", add_completion=False)


@scan.command(name="scan")
def scan_command(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Files and folders, or - for standard input. / 文件、文件夹，或 - 表示标准输入。"),
    ] = None,
    direction: Annotated[str, typer.Option(help="prompt, or output: what a reader would see.")] = "output",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; of several files one each, as they are done.")
    ] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help='Read {"id", "text"} or {"id", "chunks": […]} per line, print the same.')
    ] = False,
    surface: Annotated[
        str, typer.Option(help="text, or json: JSON escapes are looked through; auto: json for .json and .jsonl.")
    ] = AUTO,
    include: Annotated[
        list[str] | None,
        typer.Option(help="In folders, scan files that fit this pattern (repeatable; default: text formats)."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="In folders, leave out files and folders that fit this pattern (repeatable)."),
    ] = None,
    encoding: Annotated[str, typer.Option(help="The files' encoding; auto: UTF-8, else GB18030.")] = AUTO,
    max_bytes: Annotated[int, typer.Option(min=1, help="Of several files, larger ones are not scanned.")] = 20_000_000,
    jobs: Annotated[int, typer.Option(min=1, help="So many processes scan several files.")] = 1,
    lexicon: Annotated[
        list[Path] | None, typer.Option(help="Try this term file in place of the installed lists.")
    ] = None,
    allow: Annotated[list[Path] | None, typer.Option(help="Longer words that excuse a term inside them.")] = None,
    policy: Annotated[Path | None, typer.Option(help="Try this policy file.")] = None,
) -> None:
    """Scan text; exit code 0: clean, 1: findings, 2: error, or a file could not be scanned.

    扫描文本、文件或文件夹；退出码 0 无发现，1 有发现，2 出错或有文件未能扫描。
    """
    given = files or ["-"]
    several = len(given) > 1 or Path(given[0]).is_dir()
    try:
        checker = Checker(
            pipeline_for(lexicon, allow, policy),
            cast("Direction", _one_of("--direction", direction, get_args(Direction))),
            cast("Surface", _one_of("--surface", surface, (*get_args(Surface), AUTO))),
            known_encoding(encoding),
            max_bytes,
        )
        if jsonl and several:
            raise InputError("--jsonl reads one file; give one", "--jsonl 只读一个文件，请只给一个")
        if jsonl:
            code = json_lines(checker, given[0])
        elif several:
            code = many_files(checker, select(given, include or (), exclude or ()), jobs=jobs, as_json=as_json)
        else:
            code = one_text(checker, given[0], as_json=as_json)
    except ComplianceError as error:
        _fail(str(error))
    except OSError as error:
        let_go_of_stdout()
        _fail(f"the answer cannot be written ({error.strerror}) / 结果无法写出，请检查输出位置")
    except KeyboardInterrupt:
        _fail("interrupted; not everything was scanned / 已中断，未全部扫描", INTERRUPTED)
    raise typer.Exit(code)


def _one_of(option: str, value: str, choices: tuple[str, ...]) -> str:
    if value in choices:
        return value
    named = " or ".join(choices)
    raise InputError(f"{option}: {value!r} is unknown; use {named}", f"{option}：请用 {' 或 '.join(choices)}")


def _fail(message: str, code: int = ERROR) -> NoReturn:
    typer.echo(f"opcgate scan: {message}", err=True)
    raise typer.Exit(code)

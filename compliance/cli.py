"""`opcgate scan`: the pipeline on a file or on standard input, for people and for scripts."""

import json
import os
import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from errno import EBADF
from pathlib import Path
from typing import Annotated, Any, NoReturn, cast, get_args

import typer

from compliance.build import build_pipeline, shipped_settings
from compliance.pipeline import Pipeline
from compliance.verdict import ComplianceError, Direction, Surface, Verdict

CLEAN, FOUND, ERROR = 0, 1, 2

_DEADLINE_S = 600.0  # nobody waits for a stream here, and files may be large

scan = typer.Typer(help="Scan text through the compliance pipeline. / 文本合规检查。", add_completion=False)


class InputError(ComplianceError):
    """What was given cannot be scanned; says what to mend, in English and Chinese."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(f"{en} / {zh}")


@scan.command(name="scan")
def scan_command(
    file: Annotated[str, typer.Argument(help="A UTF-8 file, or - for standard input.")] = "-",
    direction: Annotated[str, typer.Option(help="prompt, or output: what a reader would see.")] = "output",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help='Read {"id", "text"} or {"id", "chunks": […]} per line, print the same.')
    ] = False,
    surface: Annotated[str, typer.Option(help="text, or json: JSON escapes are looked through.")] = "text",
    lexicon: Annotated[
        list[Path] | None, typer.Option(help="Try this term file in place of the installed lists.")
    ] = None,
    allow: Annotated[list[Path] | None, typer.Option(help="Longer words that excuse a term inside them.")] = None,
    policy: Annotated[Path | None, typer.Option(help="Try this policy file.")] = None,
) -> None:
    """Scan text; exit code 0: clean, 1: findings, 2: error. / 扫描文本；退出码 0 无发现，1 有发现，2 出错。"""
    try:
        asked = _one_of("--direction", direction, get_args(Direction))
        kind = _one_of("--surface", surface, get_args(Surface))
        pipeline = _pipeline(lexicon, allow, policy)
        checker = _Checker(pipeline, cast("Direction", asked), cast("Surface", kind))
        code = checker.lines(file) if jsonl else checker.text(file, as_json)
    except ComplianceError as error:
        _fail(str(error))
    except OSError as error:
        _let_go_of_stdout()
        _fail(f"the answer cannot be written ({error.strerror}) / 结果无法写出，请检查输出位置")
    raise typer.Exit(code)


class _Checker:
    """One run of the command: where the pipeline meets the formats."""

    def __init__(self, pipeline: Pipeline, direction: Direction, surface: Surface) -> None:
        self._pipeline = pipeline
        self._direction = direction
        self._surface = surface

    def text(self, file: str, as_json: bool) -> int:
        text = _decode(_read(file), file)
        verdict = self._scan(text)
        if as_json:
            _print_json(_as_dict(verdict))
        else:
            _print_table(verdict, text)
        return FOUND if verdict.findings else CLEAN

    def lines(self, file: str) -> int:
        found = False
        for number, line in _lines(_read(file)):
            row = _parse(line, file, number)
            chunks = row.get("chunks")
            verdict = self._scan("".join(chunks) if chunks is not None else row["text"])
            answer = {"id": row["id"], **_as_dict(verdict)}
            if chunks is not None:
                answer["released_per_chunk"] = self._per_chunk(chunks)
            _print_json(answer)
            found = found or bool(verdict.findings)
        return FOUND if found else CLEAN

    def _scan(self, text: str) -> Verdict:
        return self._pipeline.scan(text, self._direction, surface=self._surface)

    def _per_chunk(self, chunks: Iterable[str]) -> list[str]:
        gate = self._pipeline.gate(self._direction, surface=self._surface)
        return [*(gate.feed(chunk).text for chunk in chunks), gate.flush().text]


def _pipeline(lexicon: list[Path] | None, allow: list[Path] | None, policy: Path | None) -> Pipeline:
    """The shipped rules, or what is to be tried; a tried term list stands alone, with its own allow list."""
    settings = shipped_settings()
    given: dict[str, Any] = {"deadline_seconds": _DEADLINE_S}
    if lexicon:
        given |= {"lexicons": tuple(lexicon), "allow_lists": tuple(allow or ())}
    elif allow:
        given |= {"allow_lists": (*settings.allow_lists, *allow)}
    if policy:
        given["policy"] = policy
    return build_pipeline(settings.model_copy(update=given))


def _one_of(option: str, value: str, choices: tuple[str, ...]) -> str:
    if value in choices:
        return value
    named = " or ".join(choices)
    raise InputError(f"{option}: {value!r} is unknown; use {named}", f"{option}：请用 {' 或 '.join(choices)}")


def _read(file: str) -> bytes:
    try:
        if file != "-":
            return Path(file).read_bytes()
        if sys.stdin is None:  # closed by the caller
            raise OSError(EBADF, "standard input is closed")
        return sys.stdin.buffer.read()
    except OSError as error:
        raise InputError(
            f"{file}: cannot be read ({error.strerror}); give an existing file or -",
            f"{file}：无法读取，请给出存在且可读的文件，或用 - 表示标准输入",
        ) from None


def _decode(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not UTF-8 at byte {error.start}; convert the file to UTF-8",
            f"{where}：第 {error.start} 字节处不是 UTF-8，请把文件转为 UTF-8",
        ) from None


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(data.removeprefix(BOM_UTF8).split(b"\n"), start=1):
        if line.strip():
            yield number, line


def _parse(line: bytes, file: str, number: int) -> dict[str, Any]:
    """One line as an object with an id and either a text or chunks."""
    where = f"{file}:{number}"
    try:
        row = json.loads(_decode(line, where))
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where}: not JSON ({error.msg} at column {error.colno}); mend the line",
            f"{where}：不是合法的 JSON（第 {error.colno} 列），请修正此行",
        ) from None
    except (RecursionError, ValueError):
        raise InputError(
            f"{where}: JSON nested too deep or a number too long; mend the line",
            f"{where}：JSON 嵌套过深或数字过长，请修正此行",
        ) from None
    if not isinstance(row, dict):
        raise InputError(f'{where}: write an object with "id" and "text"', f'{where}：请写成含 "id" 和 "text" 的对象')
    if not isinstance(row.get("id"), str | int) or isinstance(row["id"], bool):
        raise InputError(f"{where}: id: give a string or a whole number", f"{where}：字段 id 应为字符串或整数")
    if ("text" in row) == ("chunks" in row):
        raise InputError(f"{where}: give either text or chunks", f"{where}：字段 text 与 chunks 请二选一")
    if "text" in row and not isinstance(row["text"], str):
        raise InputError(f"{where}: text: give a string", f"{where}：字段 text 应为字符串")
    if "chunks" in row and not (
        isinstance(row["chunks"], list) and all(isinstance(chunk, str) for chunk in row["chunks"])
    ):
        raise InputError(f"{where}: chunks: give a list of strings", f"{where}：字段 chunks 应为字符串列表")
    return row


def _as_dict(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": str(verdict.action),
        "findings": [asdict(one) for one in verdict.findings],
        "released": verdict.released,
        "rules": verdict.version,
    }


def _print_json(answer: dict[str, Any]) -> None:
    text = json.dumps(answer, ensure_ascii=False)
    try:
        data = text.encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8, but a JSON escape
        data = json.dumps(answer).encode()
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()


def _print_table(verdict: Verdict, text: str) -> None:
    """The findings as a table and, where something was taken out, what would be released."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text(f"verdict / 结论: {verdict.action}"))
    if not verdict.findings:
        return
    table = Table("line / 行", "span / 位置", "action / 处置", "type / 类型", "risk / 风险", "why / 原因")
    for one in verdict.findings:
        line = str(text.count("\n", 0, one.start) + 1)
        span = f"{one.start}-{one.end}"
        table.add_row(line, span, str(one.action), one.type, f"{one.risk} ({one.severity})", f"{one.why} [{one.rule}]")
    console.print(table)
    console.print(Text("released / 放行文本:"))
    console.print(Text(verdict.released.encode("utf-8", "replace").decode()))


def _let_go_of_stdout() -> None:
    """What is left in the buffer cannot be written either: without this Python says so again on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str) -> NoReturn:
    typer.echo(f"opcgate scan: {message}", err=True)
    raise typer.Exit(ERROR)

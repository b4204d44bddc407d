"""Commands: `opcgate reports`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from gateway.reports.shapes import Case

T = TypeVar("T")
ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file; default $OPCGATE_CONFIG or configs/opcgate.yaml."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For machines. / 机器可读。")]
Number = Annotated[str, typer.Argument(help="RPT-… / 举报编号")]

reports = typer.Typer(help="Work through complaints. / 处理投诉举报。", no_args_is_help=True)


@reports.command("list")
def list_command(
    state: Annotated[str | None, typer.Option(help="received, assigned or decided. / 状态。")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    as_json: AsJson = False,
    config: ConfigPath = None,
) -> None:
    """List reports, the most urgent first; overdue ones are marked. / 列出举报，期限最近的在前。"""
    from rich.console import Console
    from rich.table import Table

    from gateway.reports.queue import case, cases
    from gateway.reports.tables import ReportRow

    async def run(engine: "AsyncEngine") -> "list[Case]":
        query = cases().order_by(ReportRow.due_at, ReportRow.number).limit(limit)
        if state is not None:
            query = query.where(ReportRow.state == state)
        async with engine.connect() as connection:
            return [case(row, datetime.now(UTC)) for row in await connection.execute(query)]

    found = _run(config, run)
    if as_json:
        for one in found:
            typer.echo(one.model_dump_json())
        return
    table = Table("number", "state", "reason", "received", "due", "late", "assigned to", "decision")
    for one in found:
        moments = [f"{moment:%Y-%m-%d %H:%M}" for moment in (one.received_at, one.due_at)]
        late = "overdue / 超期" if one.overdue else ""
        table.add_row(one.number, one.state, one.reason, *moments, late, one.assigned_to or "", one.decision or "")
    Console().print(table)


@reports.command()
def show(
    number: Number,
    text: Annotated[bool, typer.Option("--text", help="With what the reporter wrote; needs --reason.")] = False,
    reason: Annotated[str, typer.Option(help="Why it is read; goes on record. / 查阅理由，将被记录。")] = "",
    config: ConfigPath = None,
) -> None:
    """Show a report, and on demand what the reporter wrote. / 查看举报及其内容。"""
    from gateway.audit.text_keys import TextDamaged, UnknownTextKey, load_text_keys
    from gateway.control.terminal import cli_actor, fail, settings_at
    from gateway.reports.queue import case, read_report_texts, report_row

    if text and not reason.strip():
        fail("--reason must say why. 请填写查阅理由。")
    settings = settings_at(config)

    async def run(engine: "AsyncEngine") -> "tuple[Case, dict[str, str]]":
        async with engine.connect() as connection:
            shown = case(await report_row(connection, number), datetime.now(UTC))
        if not text:
            return shown, {}
        keys = load_text_keys(settings.audit)
        return shown, await read_report_texts(engine, keys, number, cli_actor(), reason.strip()[:500])

    try:
        shown, texts = _run(config, run)
    except (TextDamaged, UnknownTextKey) as error:
        fail(str(error))
    typer.echo(shown.model_dump_json(indent=2))
    for part, said in texts.items():
        typer.echo(f"{part}: {said}")


@reports.command()
def assign(
    number: Number,
    to: Annotated[str, typer.Option(help="Who is to decide. / 处理人。")],
    config: ConfigPath = None,
) -> None:
    """Give a report to somebody. / 分派举报。"""
    from gateway.control.terminal import cli_actor
    from gateway.reports.queue import assign as assign_to

    _run(config, lambda engine: assign_to(engine, number, to[:100], cli_actor()))
    typer.echo(f"{number}: {to}")


@reports.command()
def decide(
    number: Number,
    decision: Annotated[str, typer.Argument(help="upheld, rejected or duplicate. / 成立、不成立或重复。")],
    why: Annotated[str, typer.Option(help="Internal reason. / 内部理由。")],
    answer: Annotated[str | None, typer.Option(help="To the reporter; default a standard one. / 答复。")] = None,
    duplicate_of: Annotated[str | None, typer.Option(help="Number of the first report. / 首次举报编号。")] = None,
    suspend_key: Annotated[bool, typer.Option(help="Suspend the key that asked for the content. / 暂停密钥。")] = False,
    hours: Annotated[float | None, typer.Option(min=0.01, help="For so long; default until restored.")] = None,
    config: ConfigPath = None,
) -> None:
    """Decide a report, once. / 作出处理决定（不可更改）。"""
    from pydantic import ValidationError

    from gateway.control.terminal import cli_actor, fail
    from gateway.reports.queue import decide as decide_on
    from gateway.reports.shapes import Suspension, Verdict

    fields = {"decision": decision, "why": why, "answer": answer, "duplicate_of": duplicate_of}
    try:
        verdict = Verdict.model_validate(fields | {"suspend_key": Suspension(hours=hours) if suspend_key else None})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        fail(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}")
    _run(config, lambda engine: decide_on(engine, number, verdict, cli_actor(), datetime.now(UTC)))
    typer.echo(f"{number}: {decision}")


def _run(config: Path | None, use: "Callable[[AsyncEngine], Awaitable[T]]") -> T:
    """Use the database; what can't be done ends the command with its reason."""
    from gateway.control.terminal import fail, settings_at
    from gateway.errors import GatewayError
    from gateway.store import with_database

    try:
        return asyncio.run(with_database(settings_at(config).database, use))
    except GatewayError as error:
        fail(error.message)

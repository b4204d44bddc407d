"""Commands: `opcgate limits`. They speak to the database; running workers follow within limits.refresh_seconds."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from gateway.control.terminal import cli_actor, fail, settings_at

if TYPE_CHECKING:
    from gateway.limits.subjects import Subject

ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file; default $OPCGATE_CONFIG or configs/opcgate.yaml."),
]
KindName = Annotated[str, typer.Argument(help="key, tenant or model.")]
Id = Annotated[str, typer.Argument(help="Id of the key, organisation or model.")]

limits = typer.Typer(help="Show and set limits of keys, organisations, models. / 限额管理。", no_args_is_help=True)


@limits.callback()
def _group() -> None:
    """Every command has its own --help. / 每个子命令都有 --help。"""


@limits.command("set")
def set_command(
    kind: KindName,
    subject: Id,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="Left out: no limit.")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1, help="Left out: no limit.")] = None,
    concurrent_requests: Annotated[int | None, typer.Option(min=1, help="Left out: no limit.")] = None,
    config: ConfigPath = None,
) -> None:
    """Set what a subject may ask for, in place of the settings. / 设置限额。"""
    from configs.sections.limits import RateSettings
    from gateway.limits.overrides import set_limit
    from gateway.store import with_database

    chosen = RateSettings(
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        concurrent_requests=concurrent_requests,
    )
    one = _subject(kind, subject)
    database = settings_at(config).database
    asyncio.run(with_database(database, lambda engine: set_limit(engine, one, chosen, cli_actor())))
    typer.echo(f"{kind} {subject}: {_said(chosen.model_dump())}")


@limits.command()
def remove(kind: KindName, subject: Id, config: ConfigPath = None) -> None:
    """Go back to the settings' limits. / 恢复默认限额。"""
    from gateway.limits.overrides import remove_limit
    from gateway.store import with_database

    one = _subject(kind, subject)
    database = settings_at(config).database
    if not asyncio.run(with_database(database, lambda engine: remove_limit(engine, one, cli_actor()))):
        fail(f"nothing is set for {kind} {subject}; see `opcgate limits show`. 没有为其设置限额。")
    typer.echo(f"{kind} {subject}: as the settings say / 恢复默认")


@limits.command()
def show(kind: KindName, subject: Id, config: ConfigPath = None) -> None:
    """Show the limits in force for a subject. / 显示生效的限额。"""
    from sqlalchemy.ext.asyncio import AsyncEngine

    from configs.sections.limits import RateSettings
    from gateway.limits.subjects import LimitBook
    from gateway.store import with_database

    settings = settings_at(config)
    one = _subject(kind, subject)

    async def read(engine: AsyncEngine) -> tuple[RateSettings, bool]:
        book = LimitBook(settings.limits, engine)
        await book.refresh()
        return book.of(one), book.is_set(one)

    found, is_set = asyncio.run(with_database(settings.database, read))
    typer.echo(f"{kind} {subject}: {_said(found.model_dump())} ({'operator' if is_set else 'settings'})")


def _subject(kind: str, subject: str) -> "Subject":
    from gateway.limits.subjects import Kind, Subject

    if kind not in get_args(Kind):
        fail(f"'{kind}' has no limits; use key, tenant or model. 请使用 key、tenant 或 model。")
    return Subject(cast("Kind", kind), subject)


def _said(fields: dict[str, int | None]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value or 'without limit'}" for name, value in fields.items())

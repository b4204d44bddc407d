"""Commands: `opcgate audit`."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from configs.schema import DatabaseSettings
    from gateway.audit.checkpoint import Checkpoint

T = TypeVar("T")
ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file; default $OPCGATE_CONFIG or configs/opcgate.yaml."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For machines. / 机器可读。")]
CheckpointPath = Annotated[
    Path | None, typer.Option("--checkpoint", help="A checkpoint that was kept elsewhere. / 另行保管的检查点。")
]
TrustedKeys = Annotated[
    list[str] | None, typer.Option("--trust-key", help="Id of a signing key that is known to be ours; repeatable.")
]

audit = typer.Typer(help="Verify and export the audit log. / 校验与导出审计日志。", no_args_is_help=True)


@audit.command()
def verify(
    checkpoint: CheckpointPath = None,
    since: Annotated[str | None, typer.Option(help="From this moment on, ISO 8601. / 起始时间。")] = None,
    trust_key: TrustedKeys = None,
    as_json: AsJson = False,
    config: ConfigPath = None,
) -> None:
    """Find edits, insertions, deletions, reordering and missing ends; exit code 1 if there are any. / 校验日志。"""
    from gateway.audit.printing import verify_source
    from gateway.audit.source import DatabaseSource
    from gateway.control.terminal import settings_at

    anchor = _checkpoint(checkpoint)
    since_us = None if since is None else _moment_us(since)

    async def run(connection: "AsyncConnection") -> int:
        source = DatabaseSource(connection, since_us)
        return await verify_source(source, anchor, frozenset(trust_key or ()), as_json=as_json)

    raise typer.Exit(asyncio.run(_in_snapshot(settings_at(config).database, run)))


@audit.command("verify-export")
def verify_export(
    folder: Annotated[Path, typer.Argument(help="An exported folder.")],
    checkpoint: CheckpointPath = None,
    trust_key: TrustedKeys = None,
    as_json: AsJson = False,
) -> None:
    """Verify an exported folder; needs no database. / 校验导出的文件夹，无需数据库。"""
    from compliance.verdict import RulesError
    from gateway.audit.folder import FolderSource
    from gateway.audit.printing import verify_source
    from gateway.control.terminal import fail

    anchor = _checkpoint(checkpoint)
    try:
        source = FolderSource(folder)
    except RulesError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if not folder.is_dir():
        fail(f"{folder}: no such folder. 没有这个文件夹。")
    raise typer.Exit(asyncio.run(verify_source(source, anchor, frozenset(trust_key or ()), as_json=as_json)))


@audit.command()
def checkpoint(
    out: Annotated[Path, typer.Option(help="The file to write; keep it outside. / 输出文件，请另行保管。")],
    config: ConfigPath = None,
) -> None:
    """Write all heads, signed, into a file, to be kept where nobody here can change it. / 导出签名检查点。"""
    from compliance.labels.signing_key import load_or_create_key
    from gateway.audit.acts import Act, record_act
    from gateway.audit.checkpoint import take_checkpoint
    from gateway.audit.signing import publish_key
    from gateway.control.terminal import cli_actor, settings_at
    from gateway.store import with_database, writing

    settings = settings_at(config)
    key = load_or_create_key(settings.audit.key_file)

    async def run(engine: "AsyncEngine") -> bytes:
        await publish_key(engine, key, cli_actor())
        async with writing(engine) as connection:
            await record_act(connection, Act(cli_actor(), "audit.checkpoint", out.name[:100]), "checkpoint")
        async with engine.connect() as connection:
            return (await take_checkpoint(connection, time.time())).signed(key)

    out.write_bytes(asyncio.run(with_database(settings.database, run)))
    typer.echo(f"{out}: signed with key / 签名密钥 {key.id}")


@audit.command()
def export(
    start: Annotated[str, typer.Option("--from", help="First moment, ISO 8601. / 起始时间。")],
    end: Annotated[str, typer.Option("--to", help="Moment after the last one. / 截止时间（不含）。")],
    out: Annotated[Path, typer.Option(help="A folder that is not there yet. / 尚不存在的文件夹。")],
    tenant: Annotated[str | None, typer.Option(help="Records of this organisation only. / 仅限该企业。")] = None,
    config: ConfigPath = None,
) -> None:
    """Write records, links, signatures, keys and a checkpoint into a folder for an inspector. / 导出供检查。"""
    from compliance.labels.signing_key import load_or_create_key
    from gateway.audit.acts import Act, record_act
    from gateway.audit.export import Wanted
    from gateway.audit.export import export as write_export
    from gateway.audit.printing import counting
    from gateway.audit.signing import publish_key
    from gateway.control.terminal import cli_actor, fail, settings_at
    from gateway.store import with_database, writing

    settings = settings_at(config)
    key = load_or_create_key(settings.audit.key_file)
    wanted = Wanted(_moment_us(start), _moment_us(end), tenant)
    if wanted.from_us >= wanted.to_us:
        fail("--from must be before --to. --from 须早于 --to。")

    async def note(engine: "AsyncEngine") -> None:
        await publish_key(engine, key, cli_actor())
        async with writing(engine) as connection:
            detail = {"from_us": wanted.from_us, "to_us": wanted.to_us, "tenant": tenant}
            await record_act(connection, Act(cli_actor(), "audit.export", out.name[:100], detail))

    async def run(connection: "AsyncConnection") -> dict[str, object]:
        with counting("links / 链接") as on_page:
            return await write_export(connection, key, wanted, out, time.time(), on_page)

    if out.exists():
        fail(f"{out}: is there already; name a new folder. 已存在，请另取名称。")
    asyncio.run(with_database(settings.database, note))
    manifest = asyncio.run(_in_snapshot(settings.database, run))
    typer.echo(f"{out}: {manifest['counts']}")


@audit.command()
def text(
    request: Annotated[str, typer.Argument(help="Id of the request, req_…")],
    reason: Annotated[str, typer.Option(help="Why you read it; it goes on record. / 查阅理由，将被记录。")],
    config: ConfigPath = None,
) -> None:
    """Show the kept text of a request; the reading goes on record first. / 查阅留存文本（先记录查阅）。"""
    import json

    from gateway.audit.access import Reader, read_texts
    from gateway.audit.text_keys import TextDamaged, UnknownTextKey, load_text_keys
    from gateway.control.terminal import cli_actor, fail, settings_at
    from gateway.store import with_database

    if not reason.strip():
        fail("--reason must say why. 请填写查阅理由。")
    settings = settings_at(config)
    keys = load_text_keys(settings.audit)
    reader = Reader(cli_actor(), reason.strip())
    try:
        texts = asyncio.run(with_database(settings.database, lambda engine: read_texts(engine, keys, request, reader)))
    except (UnknownTextKey, TextDamaged) as error:
        fail(str(error))
    if texts is None:
        fail(f"no record has the id '{request}'. 没有这条记录。")
    if not texts:
        fail(f"{request}: no text is kept of it. 未留存文本。")
    typer.echo(json.dumps({part: json.loads(said) for part, said in texts.items()}, ensure_ascii=False, indent=2))


@audit.command("rotate-key")
def rotate_key(
    new: Annotated[bool, typer.Option(help="Make a new key first; else only bring texts under the newest one.")] = True,
    config: ConfigPath = None,
) -> None:
    """Make a new key for kept texts and bring all of them under it. / 轮换留存文本的密钥。"""
    from gateway.audit.rotation import rotate_texts
    from gateway.audit.text_keys import add_text_key, load_text_keys
    from gateway.control.terminal import cli_actor, settings_at
    from gateway.store import with_database

    settings = settings_at(config)
    if new and settings.audit.text_keys_env is None:
        load_text_keys(settings.audit)
        add_text_key(settings.audit.text_key_file)
    keys = load_text_keys(settings.audit)
    done = asyncio.run(with_database(settings.database, lambda engine: rotate_texts(engine, keys, cli_actor())))
    typer.echo(f"key / 密钥 {keys.newest}: {done.rewrapped} texts rewrapped, {done.unreadable} unreadable")
    raise typer.Exit(1 if done.unreadable else 0)


@audit.command("rotate-signing-key")
def rotate_signing_key(config: ConfigPath = None) -> None:
    """Make a new signing key that the old one vouches for; workers take it when they start anew. / 轮换签名密钥。"""
    from gateway.audit.signing import rotate_key as rotate
    from gateway.control.terminal import cli_actor, settings_at
    from gateway.store import with_database

    settings = settings_at(config)
    path = settings.audit.key_file
    key = asyncio.run(with_database(settings.database, lambda engine: rotate(engine, path, cli_actor())))
    typer.echo(f"{path}: key / 密钥 {key.id}")


@audit.command()
def retain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go. / 仅统计。")] = False,
    config: ConfigPath = None,
) -> None:
    """Delete records and texts whose retention is over; running gateways do it by themselves. / 删除到期记录。"""
    from gateway.audit.retention import Retention, due
    from gateway.control.terminal import cli_actor, settings_at
    from gateway.reports.queue import retain_reports
    from gateway.store import with_database

    settings = settings_at(config)

    async def run(engine: "AsyncEngine") -> str:
        if dry_run:
            found = await due(engine, settings.audit, time.time())
            return f"{found.records} records from before {found.cutoff:%Y-%m-%d %H:%M} UTC would be deleted / 待删除"
        jobs = [partial(retain_reports, engine, settings.reports, cli_actor())]
        deleted = await Retention(engine, settings.audit, cli_actor(), time.time, jobs).retain()
        return f"{deleted} records and reports deleted / 已删除"

    typer.echo(asyncio.run(with_database(settings.database, run)))


def _checkpoint(path: Path | None) -> "Checkpoint | None":
    from compliance.verdict import RulesError
    from gateway.audit.checkpoint import read_checkpoint
    from gateway.control.terminal import fail

    if path is None:
        return None
    try:
        return read_checkpoint(path)
    except RulesError as error:
        fail(str(error))


def _moment_us(text: str) -> int:
    from gateway.audit.canonical import microseconds
    from gateway.control.terminal import fail

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"'{text}' is no moment; write 2026-05-01 or 2026-05-01T08:00+08:00. 时间格式不正确。")
    return microseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


async def _in_snapshot(settings: "DatabaseSettings", use: "Callable[[AsyncConnection], Awaitable[T]]") -> T:
    """Read as of one moment, so that records that come meanwhile disturb nothing."""
    from gateway.audit.source import snapshot
    from gateway.store import with_database

    async def run(engine: "AsyncEngine") -> T:
        async with snapshot(engine) as connection:
            return await use(connection)

    return await with_database(settings, run)

"""Commands of the gateway: `opcgate up`, `opcgate serve`, `opcgate keys`."""

import asyncio
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from configs.loader import SettingsError, load_settings
from configs.schema import Settings

ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file; default $OPCGATE_CONFIG or configs/opcgate.yaml."),
]

up = typer.Typer(help="Start the engine and the gateway, and print a working example. / 启动引擎与网关。")
serve = typer.Typer(help="Serve the gateway alone. / 只启动网关。")
keys = typer.Typer(help="Create, list and revoke API keys. / 管理 API 密钥。", no_args_is_help=True)


@up.callback(invoke_without_command=True)
def up_command(
    config: ConfigPath = None,
    model: Annotated[str | None, typer.Option(help="Catalog id to serve instead of engine.model.")] = None,
) -> None:
    """Start the engine and the gateway, wait until both answer, print a key and examples; Ctrl-C stops both."""
    from gateway.supervisor import run_up

    raise typer.Exit(run_up(_settings(config), model))


@serve.callback(invoke_without_command=True)
def serve_command(config: ConfigPath = None) -> None:
    """Serve the gateway in this process until it is told to stop."""
    from gateway.server import run_server

    run_server(_settings(config))


@keys.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    days: Annotated[float | None, typer.Option(min=0, help="Valid for so many days; default without end.")] = None,
    config: ConfigPath = None,
) -> None:
    """Create a key and print it; it is stored as a digest and can't be shown again. / 新建密钥。"""
    from gateway.keys import create_key
    from gateway.store import with_database

    if not name.strip() or len(name) > 100:
        _fail("--name must have 1 to 100 characters. 名称须为 1 至 100 个字符。")
    key_id, key = asyncio.run(
        with_database(_settings(config).database, lambda engine: create_key(engine, name.strip(), days=days))
    )
    Console(stderr=True).print(f"{key_id}: keep the key below, it is shown only once. 请妥善保存，密钥只显示一次。")
    typer.echo(key)


@keys.command("list")
def list_command(config: ConfigPath = None) -> None:
    """List the keys by id; the keys themselves are not stored. / 列出密钥。"""
    from gateway.keys import list_keys
    from gateway.store import with_database

    table = Table("id", "name", "created", "expires", "revoked")
    for row in asyncio.run(with_database(_settings(config).database, list_keys)):
        moments = [f"{one:%Y-%m-%d %H:%M}" if one else "" for one in (row.created_at, row.expires_at, row.revoked_at)]
        table.add_row(row.id, row.name, *moments)
    Console().print(table)


@keys.command()
def revoke(key_id: Annotated[str, typer.Argument(help="Id from `keys list`.")], config: ConfigPath = None) -> None:
    """Revoke a key; running gateways notice within database.key_cache_seconds. / 吊销密钥。"""
    from gateway.keys import revoke_key
    from gateway.store import with_database

    if not asyncio.run(with_database(_settings(config).database, lambda engine: revoke_key(engine, key_id))):
        _fail(f"no valid key has the id '{key_id}'; see `opcgate keys list`. 没有这个有效密钥。")
    typer.echo(f"{key_id} revoked")


def _settings(config: Path | None) -> Settings:
    try:
        return load_settings(config)
    except SettingsError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.echo(f"opcgate: {message}", err=True)
    raise typer.Exit(2)

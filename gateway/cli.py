"""Commands of the gateway: `opcgate up`, `opcgate serve`, `opcgate keys`."""

import asyncio
from pathlib import Path
from typing import Annotated, NoReturn, cast, get_args

import typer
from rich.console import Console
from rich.table import Column, Table

from configs.loader import SettingsError, load_settings
from configs.schema import LabelPosition, Settings

ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file; default $OPCGATE_CONFIG or configs/opcgate.yaml."),
]

POSITION_HELP = "Where answers show their label: start, end, both, or corner (at the caller's interface)."

up = typer.Typer(help="Start the engine and the gateway, and print a working example. / 启动引擎与网关。")
serve = typer.Typer(help="Serve the gateway alone. / 只启动网关。")
keys = typer.Typer(help="Create, list and revoke API keys. / 管理 API 密钥。", no_args_is_help=True)


@up.callback(invoke_without_command=True)
def up_command(
    config: ConfigPath = None,
    model: Annotated[str | None, typer.Option(help="Catalog id to serve instead of engine.model.")] = None,
    variant: Annotated[str | None, typer.Option(help="A quantized variant of it, like W8A8.")] = None,
) -> None:
    """Start the engine and the gateway, wait until both answer, print a key and examples; Ctrl-C stops both."""
    from gateway.supervisor import run_up

    raise typer.Exit(run_up(_settings(config), model, variant))


@serve.callback(invoke_without_command=True)
def serve_command(config: ConfigPath = None) -> None:
    """Serve the gateway until it is told to stop; SIGHUP reads the settings again without dropping a request."""
    from gateway.workers.process import is_worker, run_worker

    settings = _settings(config)
    if is_worker():
        run_worker(settings)
        return
    from gateway.workers.pool import run_pool

    raise typer.Exit(run_pool(config, settings))


@keys.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    days: Annotated[float | None, typer.Option(min=0, help="Valid for so many days; default without end.")] = None,
    label_position: Annotated[str | None, typer.Option(help=POSITION_HELP)] = None,
    policy: Annotated[str | None, typer.Option(help="Policy of this key, laid over its model's.")] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Whose key it is; made if there is none of this id. Default: default.")
    ] = None,
    member: Annotated[str | None, typer.Option(help="Id of the member it belongs to (`tenants members list`).")] = None,
    role: Annotated[str | None, typer.Option(help="At most the member's role; default the member's.")] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="inference, moderations, files, control; repeat. Default: all.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="Model it may call; repeat. Default: all.")] = None,
    allow_address: Annotated[
        list[str] | None, typer.Option(help="Address or CIDR it may be used from; repeat. Default: anywhere.")
    ] = None,
    notes: Annotated[str | None, typer.Option(help="Remarks, up to 500 characters.")] = None,
    config: ConfigPath = None,
) -> None:
    """Create a key and print it; it is stored as a digest and can't be shown again. / 新建密钥。"""
    from gateway.tenants.key_cli import check_policy, make_key

    if not name.strip() or len(name) > 100:
        _fail("--name must have 1 to 100 characters. 名称须为 1 至 100 个字符。")
    _position(label_position)
    settings = _settings(config)
    if policy is not None:
        check_policy(settings, policy)
    given = {
        "name": name,
        "label_position": label_position,
        "policy": policy,
        "member": member,
        "role": role,
        "scopes": scope or None,
        "models": model or None,
        "addresses": allow_address or None,
        "notes": notes,
    }
    key_id, key = make_key(settings, given, tenant, days)
    Console(stderr=True).print(f"{key_id}: keep the key below, it is shown only once. 请妥善保存，密钥只显示一次。")
    typer.echo(key)


@keys.command()
def rotate(
    key_id: Annotated[str, typer.Argument(help="Id from `keys list`.")],
    overlap_hours: Annotated[
        float | None, typer.Option(min=0, max=720, help="The old secret goes on so long; default as in tenants.*.")
    ] = None,
    config: ConfigPath = None,
) -> None:
    """Give a key a new secret and print it; the old one stays valid for a while. / 轮换密钥。"""
    from gateway.tenants.key_cli import rotate_now

    key, until = rotate_now(_settings(config), key_id, overlap_hours)
    Console(stderr=True).print(
        f"{key_id}: keep the key below, it is shown only once; the old one is valid until {until:%Y-%m-%d %H:%M} UTC. "
        "请妥善保存，密钥只显示一次。"
    )
    typer.echo(key)


@keys.command("list")
def list_command(config: ConfigPath = None) -> None:
    """List the keys by id; the keys themselves are not stored. / 列出密钥。"""
    from gateway.store import with_database
    from gateway.tenants.key_cli import suspension_of
    from gateway.tenants.keys import list_keys

    table = Table(Column("id", no_wrap=True), "name", "tenant", "created", "expires", "revoked", "suspended", "policy")
    for row in asyncio.run(with_database(_settings(config).database, list_keys)):
        moments = [f"{one:%Y-%m-%d %H:%M}" if one else "" for one in (row.created_at, row.expires_at, row.revoked_at)]
        table.add_row(row.id, row.name, row.tenant or "", *moments, suspension_of(row), row.policy or "")
    Console().print(table)


@keys.command()
def revoke(key_id: Annotated[str, typer.Argument(help="Id from `keys list`.")], config: ConfigPath = None) -> None:
    """Revoke a key; running gateways notice within database.key_cache_seconds. / 吊销密钥。"""
    from gateway.store import with_database
    from gateway.tenants.keys import revoke_key

    if not asyncio.run(with_database(_settings(config).database, lambda engine: revoke_key(engine, key_id))):
        _fail(f"no valid key has the id '{key_id}'; see `opcgate keys list`. 没有这个有效密钥。")
    typer.echo(f"{key_id} revoked")


@keys.command()
def label(
    key_id: Annotated[str, typer.Argument(help="Id from `keys list`.")],
    position: Annotated[str, typer.Option(help=f"{POSITION_HELP} `default` goes back to labels.position.")],
    config: ConfigPath = None,
) -> None:
    """Set where a key's answers show their label. / 设置某密钥的显式标识位置。"""
    from gateway.store import with_database
    from gateway.tenants.keys import place_label

    chosen = None if position == "default" else _position(position)
    if not asyncio.run(with_database(_settings(config).database, lambda engine: place_label(engine, key_id, chosen))):
        _fail(f"no key has the id '{key_id}'; see `opcgate keys list`. 没有这个密钥。")
    typer.echo(f"{key_id}: {position}")


@keys.command("agree")
def agree_command(
    key_id: Annotated[str, typer.Argument(help="Id from `keys list`.")],
    by: Annotated[str, typer.Option(help="Who agreed: name or contract number.")],
    version: Annotated[
        str | None, typer.Option(help="Version of the agreement; default labels.agreement_version.")
    ] = None,
    config: ConfigPath = None,
) -> None:
    """Record that a key's owner agreed to the duties of unlabelled output. / 登记不含显式标识输出的协议。"""
    from gateway.store import with_database
    from gateway.tenants.agreements import agree

    settings = _settings(config)
    agreed = version or settings.labels.agreement_version
    if not by.strip() or len(by) > 100:
        _fail("--by must have 1 to 100 characters. --by 须为 1 至 100 个字符。")
    if len(agreed) > 40:
        _fail("--version has at most 40 characters. --version 最多 40 个字符。")
    if not asyncio.run(with_database(settings.database, lambda engine: agree(engine, key_id, agreed, by.strip()))):
        _fail(f"no valid key has the id '{key_id}'; see `opcgate keys list`. 没有这个有效密钥。")
    typer.echo(f"{key_id}: agreement {agreed} recorded / 已登记")
    if agreed != settings.labels.agreement_version:
        typer.echo(
            f"note: version {settings.labels.agreement_version} is in force, so this one permits nothing yet / "
            f"注意：当前生效版本为 {settings.labels.agreement_version}",
            err=True,
        )


@keys.command("withdraw")
def withdraw_command(
    key_id: Annotated[str, typer.Argument(help="Id from `keys list`.")], config: ConfigPath = None
) -> None:
    """End a key's agreement; its record stays. / 终止协议，记录保留。"""
    from gateway.store import with_database
    from gateway.tenants.agreements import withdraw

    if not asyncio.run(with_database(_settings(config).database, lambda engine: withdraw(engine, key_id))):
        _fail(f"no agreement is in force for '{key_id}'. 该密钥没有生效中的协议。")
    typer.echo(f"{key_id}: agreement ended / 已终止")


@keys.command()
def agreements(config: ConfigPath = None) -> None:
    """List every agreement, with the unlabelled answers given under it. / 列出协议及无显式标识的输出次数。"""
    from gateway.store import with_database
    from gateway.tenants.agreements import list_agreements

    table = Table(Column("key", no_wrap=True), "version", "agreed by", "agreed", "withdrawn", "unlabelled answers")
    for one, answers in asyncio.run(with_database(_settings(config).database, list_agreements)):
        moments = [f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in (one.agreed_at, one.withdrawn_at)]
        table.add_row(one.key_id, one.version, one.agreed_by, *moments, str(answers))
    Console().print(table)


def _position(chosen: str | None) -> LabelPosition | None:
    if chosen is None or chosen in get_args(LabelPosition):
        return cast("LabelPosition | None", chosen)
    _fail(f"the label's position is one of {', '.join(get_args(LabelPosition))}. 标识位置请用上述值之一。")


@keys.command()
def policy(
    key_id: Annotated[str, typer.Argument(help="Id from `keys list`.")],
    name: Annotated[str | None, typer.Argument(help="From `policy list`; left out: none of its own.")] = None,
    config: ConfigPath = None,
) -> None:
    """Give a key a policy of its own, or none. / 为密钥指定策略。"""
    from gateway.tenants.key_cli import give_policy

    give_policy(_settings(config), key_id, name)


@keys.command()
def suspend(
    key_id: Annotated[str, typer.Argument(help="Id from `keys list`.")],
    hours: Annotated[float | None, typer.Option(min=0.01, help="Default: until it is restored.")] = None,
    config: ConfigPath = None,
) -> None:
    """Suspend a key: 403 for every request; running gateways notice within the cache's time. / 暂停密钥。"""
    from gateway.tenants.key_cli import suspend_now

    suspend_now(_settings(config), key_id, hours)


@keys.command()
def restore(key_id: Annotated[str, typer.Argument(help="Id from `keys list`.")], config: ConfigPath = None) -> None:
    """Lift a suspension; violations before it no longer count. / 恢复被暂停的密钥。"""
    from gateway.tenants.key_cli import restore_now

    restore_now(_settings(config), key_id)


@keys.command()
def show(key_id: Annotated[str, typer.Argument(help="Id from `keys list`.")], config: ConfigPath = None) -> None:
    """Show a key's policy, state and last violations. / 显示密钥的策略、状态与最近的违规。"""
    from gateway.tenants.key_cli import print_key

    print_key(_settings(config), key_id)


def _settings(config: Path | None) -> Settings:
    try:
        return load_settings(config)
    except SettingsError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.echo(f"opcgate: {message}", err=True)
    raise typer.Exit(2)

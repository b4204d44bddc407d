"""Commands: `opcgate tenants members`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gateway.control.terminal import cli_actor, fail, settings_at
from gateway.tenants.command import change, valid

if TYPE_CHECKING:
    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

members = typer.Typer(help="Members of an organisation. / 管理企业成员。", no_args_is_help=True)

ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file; default $OPCGATE_CONFIG or configs/opcgate.yaml."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
MemberId = Annotated[str, typer.Argument(help="Id from `tenants members list`.")]


@members.command()
def add(
    organisation: Annotated[str, typer.Argument(help="Id from `tenants list`.")],
    name: Annotated[str, typer.Option(help="The person's name.")],
    email: Annotated[str, typer.Option(help="The person's e-mail address.")],
    role: Annotated[str, typer.Option(help="caller, author, reviewer or operator.")] = "caller",
    owner: Annotated[bool, typer.Option("--owner", help="May manage the organisation's members and keys.")] = False,
    config: ConfigPath = None,
) -> None:
    """Add a member and print its id. / 添加成员。"""
    from gateway.tenants.members import add_member
    from gateway.tenants.organisations import organisation_row
    from gateway.tenants.shapes import NewMember

    body = valid(NewMember, {"name": name, "email": email, "role": role, "owner": owner})

    async def make(connection: "AsyncConnection") -> str:
        if await organisation_row(connection, organisation) is None:
            fail(f"no organisation has the id '{organisation}'; see `opcgate tenants list`. 没有这个企业。")
        return await add_member(
            connection, organisation, body.name, body.email, body.role, cli_actor(), owner=body.owner
        )

    typer.echo(change(settings_at(config), make))


@members.command("list")
def list_command(
    organisation: Annotated[str, typer.Argument(help="Id from `tenants list`.")],
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """List an organisation's members. / 列出成员。"""
    from sqlalchemy import select

    from gateway.tenants.tables import MemberRow

    names = ("id", "name", "email", "role", "owner", "status")

    async def read(connection: "AsyncConnection") -> list[dict[str, Any]]:
        query = (
            select(*MemberRow.__table__.columns)
            .where(MemberRow.organisation == organisation)
            .order_by(MemberRow.created_at, MemberRow.id)
        )
        return [{name: row._mapping[name] for name in names} for row in await connection.execute(query)]

    rows = change(settings_at(config), read)
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    table = Table(*names)
    for row in rows:
        table.add_row(*("yes" if value is True else "" if value is False else value for value in row.values()))
    Console().print(table)


@members.command()
def role(
    member: MemberId,
    name: Annotated[str, typer.Argument(help="caller, author, reviewer or operator.")],
    owner: Annotated[bool | None, typer.Option("--owner/--no-owner", help="Left out: as it is.")] = None,
    config: ConfigPath = None,
) -> None:
    """Give a member another role; its keys have at most that one. / 修改成员角色。"""
    from gateway.tenants.members import change_member
    from gateway.tenants.shapes import MemberChange

    changes = valid(MemberChange, {"role": name, "owner": owner}).model_dump(exclude_unset=True)

    async def do(connection: "AsyncConnection") -> None:
        await change_member(connection, await _found(connection, member), changes, cli_actor())

    change(settings_at(config), do)
    typer.echo(f"{member}: {name}")


@members.command()
def remove(member: MemberId, config: ConfigPath = None) -> None:
    """Remove a member and revoke its keys. / 移除成员并吊销其密钥。"""
    from gateway.tenants.members import remove_member

    async def do(connection: "AsyncConnection") -> int:
        return await remove_member(connection, await _found(connection, member), cli_actor())

    revoked = change(settings_at(config), do)
    typer.echo(f"{member} removed, {revoked} key(s) revoked / 已移除，吊销密钥 {revoked} 个")


async def _found(connection: "AsyncConnection", member: str) -> "Row[Any]":
    from gateway.tenants.members import member_row

    row = await member_row(connection, member)
    if row is None or row.status == "removed":
        fail(f"no member has the id '{member}'; see `opcgate tenants members list`. 没有这个成员。")
    return row

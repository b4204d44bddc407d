"""Commands: `opcgate tenants`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gateway.control.terminal import cli_actor, fail, settings_at
from gateway.tenants.command import change, valid
from gateway.tenants.member_cli import members

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gateway.tenants.organisations import Status

tenants = typer.Typer(help="Organisations, members and their keys. / 管理企业、成员与密钥。", no_args_is_help=True)
tenants.add_typer(members, name="members")

ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file; default $OPCGATE_CONFIG or configs/opcgate.yaml."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
OrganisationId = Annotated[str, typer.Argument(help="Id from `tenants list`.")]


@tenants.command()
def create(
    organisation: Annotated[str, typer.Argument(help="Id: small letters, digits, . _ -")],
    name: Annotated[str, typer.Option(help="Name of the company.")],
    credit_code: Annotated[str | None, typer.Option(help="Unified social credit code (18 characters).")] = None,
    contact: Annotated[str | None, typer.Option(help="Whom to reach, and how.")] = None,
    region: Annotated[str | None, typer.Option(help="Where it is; statistics count by it.")] = None,
    sector: Annotated[str | None, typer.Option(help="One of tenants.sectors.")] = None,
    policy: Annotated[str | None, typer.Option(help="Policy of its keys, laid over the model's.")] = None,
    label_position: Annotated[str | None, typer.Option(help="start, end, both or corner.")] = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Make an organisation. / 新建企业。"""
    from gateway.tenants.changes import check_policy_name, checked_organisation
    from gateway.tenants.organisations import add_organisation
    from gateway.tenants.shapes import NewOrganisation

    settings = settings_at(config)
    given = {
        "id": organisation,
        "name": name,
        "credit_code": credit_code,
        "contact": contact,
        "region": region,
        "sector": sector,
        "policy": policy,
        "label_position": label_position,
    }

    async def make(connection: "AsyncConnection") -> None:
        values = checked_organisation(valid(NewOrganisation, given).model_dump(), settings.tenants)
        await check_policy_name(policy, settings.compliance)
        await add_organisation(connection, values, cli_actor())

    change(settings, make)
    _say(f"{organisation} created / 已新建", {"id": organisation}, as_json=as_json)


@tenants.command("list")
def list_command(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """List the organisations. / 列出企业。"""
    from sqlalchemy import select

    from gateway.tenants.organisation_api import shown
    from gateway.tenants.tables import OrganisationRow

    async def read(connection: "AsyncConnection") -> list[dict[str, Any]]:
        query = select(*OrganisationRow.__table__.columns).order_by(OrganisationRow.created_at, OrganisationRow.id)
        return [shown(row).model_dump(mode="json") for row in await connection.execute(query)]

    rows = change(settings_at(config), read)
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("id", "name", "status", "region", "sector", "credit code", "policy")
    for row in rows:
        columns = (row[one] or "" for one in ("id", "name", "status", "region", "sector", "credit_code", "policy"))
        table.add_row(*columns)
    Console().print(table)


@tenants.command()
def show(organisation: OrganisationId, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Show an organisation and how many members and keys it has. / 显示企业信息。"""
    from sqlalchemy import func, select

    from gateway.store import ApiKey
    from gateway.tenants.organisation_api import shown
    from gateway.tenants.organisations import organisation_row
    from gateway.tenants.tables import MemberRow

    async def read(connection: "AsyncConnection") -> dict[str, Any]:
        row = await organisation_row(connection, organisation)
        if row is None:
            fail(f"no organisation has the id '{organisation}'; see `opcgate tenants list`. 没有这个企业。")
        members = select(func.count()).where(MemberRow.organisation == organisation, MemberRow.status != "removed")
        keys = select(func.count()).where(ApiKey.tenant == organisation, ApiKey.revoked_at.is_(None))
        counts = {
            name: (await connection.execute(one)).scalar_one() for name, one in (("members", members), ("keys", keys))
        }
        return shown(row).model_dump(mode="json", exclude={"object"}) | counts

    found = change(settings_at(config), read)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    table = Table(show_header=False)
    for name, value in found.items():
        table.add_row(name.replace("_", " "), "" if value is None else str(value))
    Console().print(table)


@tenants.command()
def suspend(organisation: OrganisationId, config: ConfigPath = None) -> None:
    """Suspend an organisation: its keys get 403; running gateways notice within the cache's time. / 暂停企业服务。"""
    _set(config, organisation, "suspended")


@tenants.command()
def restore(organisation: OrganisationId, config: ConfigPath = None) -> None:
    """Lift an organisation's suspension, and that of keys suspended together. / 恢复企业服务。"""
    _set(config, organisation, "active")


@tenants.command()
def close(organisation: OrganisationId, config: ConfigPath = None) -> None:
    """Close an organisation for good: its keys are refused, its records stay. / 注销企业。"""
    _set(config, organisation, "closed")


@tenants.command()
def bootstrap(
    name: Annotated[str, typer.Option(help="The operator's name.")],
    email: Annotated[str, typer.Option(help="The operator's e-mail address.")],
    force: Annotated[bool, typer.Option("--force", help="Make one more, although there is an operator.")] = False,
    config: ConfigPath = None,
) -> None:
    """Make the first operator and print a key for the control API. / 创建首位平台运营人员并输出密钥。"""
    from gateway.tenants.keys import KeySpec, add_key
    from gateway.tenants.members import add_member, operators
    from gateway.tenants.organisations import DEFAULT
    from gateway.tenants.shapes import NewMember

    body = valid(NewMember, {"name": name, "email": email, "role": "operator"})

    async def make(connection: "AsyncConnection") -> tuple[str, str]:
        if not force and await operators(connection):
            fail(
                "there is an operator already; let them add others, or use --force if their keys are lost. "
                "已有平台运营人员，请由其添加，或在密钥遗失时使用 --force。"
            )
        actor = cli_actor()
        member = await add_member(connection, DEFAULT, body.name, body.email, "operator", actor, owner=False)
        return await add_key(connection, KeySpec(f"operator {body.name}"[:100], member=member), actor)

    key_id, key = change(settings_at(config), make)
    Console(stderr=True).print(f"{key_id}: keep the key below, it is shown only once. 请妥善保存，密钥只显示一次。")
    typer.echo(key)


def _set(config: Path | None, organisation: str, status: "Status") -> None:
    from gateway.tenants.organisations import organisation_row, set_status
    from gateway.tenants.suspension import restore_organisations_keys

    async def do(connection: "AsyncConnection") -> None:
        row = await organisation_row(connection, organisation)
        if row is None:
            fail(f"no organisation has the id '{organisation}'; see `opcgate tenants list`. 没有这个企业。")
        lifted = await restore_organisations_keys(connection, organisation, cli_actor()) if status == "active" else 0
        if not await set_status(connection, organisation, status, cli_actor()) and not lifted:
            fail(
                f"'{organisation}' is {row.status}, so there is nothing to change. 企业状态为 {row.status}，无需更改。"
            )

    change(settings_at(config), do)
    typer.echo(f"{organisation}: {status}")


def _say(text: str, data: dict[str, Any], *, as_json: bool) -> None:
    typer.echo(json.dumps(data, ensure_ascii=False) if as_json else text)

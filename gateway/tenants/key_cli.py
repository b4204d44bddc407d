"""What `opcgate keys` does about policies and suspensions."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.build import policy_shelf
from compliance.verdict import RulesError
from configs.schema import Settings
from gateway.control.terminal import cli_actor, fail
from gateway.store import ApiKey, with_database
from gateway.tenants.changes import check_member, checked_addresses
from gateway.tenants.command import change, valid
from gateway.tenants.keys import KeySpec, add_key, days_from_now, key_row, list_keys, rotate, set_policy
from gateway.tenants.organisations import DEFAULT, ensure_organisation
from gateway.tenants.shapes import NewKey
from gateway.tenants.suspension import last_violations, restore_key, suspend_key, suspended_until


def check_policy(settings: Settings, name: str) -> None:
    """Refuse a policy that cannot be used, before a key depends on it."""
    try:
        policy_shelf(settings.compliance).stack((name,))
    except RulesError as error:
        fail(str(error))


def make_key(settings: Settings, given: dict[str, Any], tenant: str | None, days: float | None) -> tuple[str, str]:
    """Store a key that the API would take, too, and return (id, key); its organisation is made if there is none."""
    body = valid(NewKey, given)
    organisation = tenant or DEFAULT

    async def make(connection: AsyncConnection) -> tuple[str, str]:
        addresses = checked_addresses(body.addresses)
        if body.member is None:
            await ensure_organisation(connection, organisation, cli_actor())
        await check_member(connection, organisation, body.member, body.role)
        spec = KeySpec(
            name=body.name,
            tenant=organisation,
            member=body.member,
            role=body.role,
            scopes=None if body.scopes is None else tuple(body.scopes),
            models=None if body.models is None else tuple(body.models),
            addresses=None if addresses is None else tuple(addresses),
            expires_at=days_from_now(days),
            policy=body.policy,
            label_position=body.label_position,
            notes=body.notes,
        )
        return await add_key(connection, spec, cli_actor())

    return change(settings, make)


def rotate_now(settings: Settings, key_id: str, overlap_hours: float | None) -> tuple[str, datetime]:
    """Rotate a key; its new secret, and until when the old one is valid."""
    overlap = settings.tenants.rotation_overlap_hours if overlap_hours is None else overlap_hours

    async def do(connection: AsyncConnection) -> tuple[str, datetime]:
        row = await key_row(connection, key_id, locked=True)
        if row is None or row.revoked_at is not None:
            fail(f"no valid key has the id '{key_id}'; see `opcgate keys list`. 没有这个有效密钥。")
        return await rotate(connection, row, overlap, cli_actor())

    return change(settings, do)


def give_policy(settings: Settings, key_id: str, name: str | None) -> None:
    """Set a key's own policy, or take it away."""
    if name is not None:
        check_policy(settings, name)
    if not asyncio.run(with_database(settings.database, lambda engine: set_policy(engine, key_id, name))):
        fail(f"no key has the id '{key_id}'; see `opcgate keys list`. 没有这个密钥。")
    typer.echo(f"{key_id}: {name or '-'}")


def suspend_now(settings: Settings, key_id: str, hours: float | None) -> None:
    """Suspend a key, for hours or until it is restored."""
    if not asyncio.run(with_database(settings.database, lambda engine: suspend_key(engine, key_id, hours))):
        fail(f"'{key_id}' is no key's id or is suspended already; see `opcgate keys list`. 没有这个密钥，或已暂停。")
    typer.echo(f"{key_id} suspended")


def restore_now(settings: Settings, key_id: str) -> None:
    """Lift a key's suspension."""
    if not asyncio.run(with_database(settings.database, lambda engine: restore_key(engine, key_id))):
        fail(f"no suspended key has the id '{key_id}'; see `opcgate keys list`. 没有这个被暂停的密钥。")
    typer.echo(f"{key_id} restored")


def print_key(settings: Settings, key_id: str) -> None:
    """Print what is stored of a key, and the requests that broke the rules."""

    async def read(engine: AsyncEngine) -> tuple[ApiKey | None, list[tuple[datetime, str]]]:
        row = next((one for one in await list_keys(engine) if one.id == key_id), None)
        return row, [(at, request) for at, request in await last_violations(engine, key_id)]

    row, violations = asyncio.run(with_database(settings.database, read))
    if row is None:
        fail(f"no key has the id '{key_id}'; see `opcgate keys list`. 没有这个密钥。")
    table = Table(show_header=False)
    for name, value in (
        ("id", row.id),
        ("name", row.name),
        ("tenant", row.tenant or ""),
        ("member", row.member or ""),
        ("role", row.role or ""),
        ("scopes", ", ".join(row.scopes or ("all",))),
        ("models", ", ".join(row.models or ("all",))),
        ("addresses", ", ".join(row.addresses or ("any",))),
        ("version", str(row.version)),
        ("last used", _moment(row.last_used_at)),
        ("notes", row.notes or ""),
        ("policy", row.policy or ""),
        ("revoked", _moment(row.revoked_at)),
        ("suspended", suspension_of(row)),
        ("last suspension", f"{_moment(row.suspended_at)} {row.suspended_why or ''}".strip()),
        ("restored", _moment(row.restored_at)),
        *(("violation", f"{_moment(at)} {request}") for at, request in violations),
    ):
        table.add_row(name, value)
    Console().print(table)


def suspension_of(row: ApiKey) -> str:
    """Until when a key is suspended and why; empty when it is not."""
    until = suspended_until(row.suspended_at, row.suspended_until, row.restored_at)
    if until is None or until <= datetime.now(UTC).timestamp():
        return ""
    return f"{_moment(row.suspended_until) or 'until restored'} ({row.suspended_why})"


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""

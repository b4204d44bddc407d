"""What `opcgate keys` does about policies and suspensions."""

import asyncio
from datetime import UTC, datetime
from typing import NoReturn

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.build import policy_shelf
from compliance.verdict import RulesError
from configs.schema import Settings
from gateway.store import ApiKey, with_database
from gateway.tenants.keys import list_keys, set_policy
from gateway.tenants.suspension import last_violations, restore_key, suspend_key, suspended_until


def check_policy(settings: Settings, name: str) -> None:
    """Refuse a policy that cannot be used, before a key depends on it."""
    try:
        policy_shelf(settings.compliance).stack((name,))
    except RulesError as error:
        _fail(str(error))


def give_policy(settings: Settings, key_id: str, name: str | None) -> None:
    """Set a key's own policy, or take it away."""
    if name is not None:
        check_policy(settings, name)
    if not asyncio.run(with_database(settings.database, lambda engine: set_policy(engine, key_id, name))):
        _fail(f"no key has the id '{key_id}'; see `opcgate keys list`. 没有这个密钥。")
    typer.echo(f"{key_id}: {name or '-'}")


def suspend_now(settings: Settings, key_id: str, hours: float | None) -> None:
    """Suspend a key, for hours or until it is restored."""
    if not asyncio.run(with_database(settings.database, lambda engine: suspend_key(engine, key_id, hours))):
        _fail(f"'{key_id}' is no key's id or is suspended already; see `opcgate keys list`. 没有这个密钥，或已暂停。")
    typer.echo(f"{key_id} suspended")


def restore_now(settings: Settings, key_id: str) -> None:
    """Lift a key's suspension."""
    if not asyncio.run(with_database(settings.database, lambda engine: restore_key(engine, key_id))):
        _fail(f"no suspended key has the id '{key_id}'; see `opcgate keys list`. 没有这个被暂停的密钥。")
    typer.echo(f"{key_id} restored")


def print_key(settings: Settings, key_id: str) -> None:
    """Print what is stored of a key, and the requests that broke the rules."""

    async def read(engine: AsyncEngine) -> tuple[ApiKey | None, list[tuple[datetime, str]]]:
        row = next((one for one in await list_keys(engine) if one.id == key_id), None)
        return row, [(at, request) for at, request in await last_violations(engine, key_id)]

    row, violations = asyncio.run(with_database(settings.database, read))
    if row is None:
        _fail(f"no key has the id '{key_id}'; see `opcgate keys list`. 没有这个密钥。")
    table = Table(show_header=False)
    for name, value in (
        ("id", row.id),
        ("name", row.name),
        ("tenant", row.tenant or ""),
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


def _fail(message: str) -> NoReturn:
    typer.echo(f"opcgate: {message}", err=True)
    raise typer.Exit(2)

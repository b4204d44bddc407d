"""Members as they are administered: people of an organisation, to whom keys belong."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.acts import Act, record_act
from gateway.errors import InvalidRequest
from gateway.store import ApiKey
from gateway.tenants.caller import Role
from gateway.tenants.tables import MemberRow


async def add_member(
    connection: AsyncConnection, organisation: str, name: str, email: str, role: Role, actor: str, *, owner: bool
) -> str:
    """Store a member and return its id. Raises InvalidRequest when the organisation has one of this e-mail."""
    await _refuse_taken_email(connection, organisation, email, "")
    member = "mem_" + secrets.token_hex(8)
    row = {"id": member, "organisation": organisation, "name": name, "email": email, "role": role, "owner": owner}
    try:
        await connection.execute(insert(MemberRow).values(status="active", created_at=datetime.now(UTC), **row))
    except IntegrityError as error:  # another worker was faster by a hair
        raise _taken_email() from error
    detail = {"organisation": organisation, "role": role, "owner": owner, "email": masked(email)}
    await record_act(connection, Act(actor, "members.create", member, detail))
    return member


async def change_member(connection: AsyncConnection, row: Row[Any], changes: Mapping[str, Any], actor: str) -> None:
    """Set columns of a member. Raises InvalidRequest for a taken e-mail, and for the last operator."""
    if "email" in changes:
        await _refuse_taken_email(connection, row.organisation, changes["email"], row.id)
    if changes.get("role", "operator") != "operator" or changes.get("status", "active") != "active":
        await _refuse_last_operator(connection, row)
    await connection.execute(update(MemberRow).where(MemberRow.id == row.id).values(dict(changes)))
    told = {name: masked(value) if name == "email" else value for name, value in changes.items()}
    await record_act(connection, Act(actor, "members.update", row.id, told))


async def remove_member(connection: AsyncConnection, row: Row[Any], actor: str) -> int:
    """Take a member out and revoke its keys; how many there were. The row stays, since records name it."""
    await _refuse_last_operator(connection, row)
    await connection.execute(
        update(MemberRow)
        .where(MemberRow.id == row.id)
        .values(status="removed", owner=False, email=f"removed:{row.id}", name="-")
    )
    done = await connection.execute(
        update(ApiKey).where(ApiKey.member == row.id, ApiKey.revoked_at.is_(None)).values(revoked_at=datetime.now(UTC))
    )
    await record_act(connection, Act(actor, "members.remove", row.id, {"keys_revoked": done.rowcount}))
    return int(done.rowcount)


async def member_row(connection: AsyncConnection, member: str) -> Row[Any] | None:
    """A member's row."""
    query = select(*MemberRow.__table__.columns).where(MemberRow.id == member)
    return (await connection.execute(query)).first()


async def operators(connection: AsyncConnection) -> int:
    """How many active operators there are."""
    query = select(func.count()).where(MemberRow.role == "operator", MemberRow.status == "active")
    return int((await connection.execute(query)).scalar_one())


def masked(email: str) -> str:
    """An e-mail address as others may see it: its first character and its domain."""
    name, _, domain = email.partition("@")
    return f"{name[:1]}***@{domain}" if domain else "***"


async def _refuse_taken_email(connection: AsyncConnection, organisation: str, email: str, member: str) -> None:
    query = select(MemberRow.id).where(
        MemberRow.organisation == organisation, MemberRow.email == email, MemberRow.id != member
    )
    if (await connection.execute(query)).first() is not None:
        raise _taken_email()


def _taken_email() -> InvalidRequest:
    return InvalidRequest(
        "Field 'email': this organisation has a member with this address; change that one. 该邮箱已登记。",
        param="email",
    )


async def _refuse_last_operator(connection: AsyncConnection, row: Row[Any]) -> None:
    """Without an operator nobody could make one through the API again."""
    if row.role == "operator" and row.status == "active" and await operators(connection) == 1:
        raise InvalidRequest(
            "This is the last operator; make another one first. 这是最后一名运营人员，请先添加另一名。", param="role"
        )

"""Organisations as they are administered: made, changed, suspended, closed for good. None is ever deleted."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.pii.uscc import is_valid
from gateway.audit.acts import Act, record_act
from gateway.errors import InvalidRequest
from gateway.tenants.tables import OrganisationRow

DEFAULT = "default"
"""The organisation of keys that name none; the migration makes it."""

Status = Literal["active", "suspended", "closed"]
USCC_LENGTH = 18


def credit_code(text: str) -> str:
    """A unified social credit code in its written form. Raises InvalidRequest (GB 32100: check character)."""
    code = text.strip().upper()
    shaped = len(code) == USCC_LENGTH and code.isascii() and code.isalnum() and not set(code) & set("IOZSV")
    if not shaped or not is_valid(code.lower()):
        raise InvalidRequest(
            "Field 'credit_code' isn't a unified social credit code: it has 18 characters, and the last one checks "
            "the others; copy it from the business licence. 统一社会信用代码有误，请核对营业执照上的 18 位代码。",
            param="credit_code",
        )
    return code


async def add_organisation(connection: AsyncConnection, values: Mapping[str, Any], actor: str) -> None:
    """Store an organisation. Raises InvalidRequest when its id or credit code is taken."""
    if await organisation_row(connection, values["id"]) is not None:
        raise InvalidRequest(
            f"Field 'id': an organisation '{values['id']}' exists already; choose another id. 企业标识已存在。",
            param="id",
        )
    await refuse_taken_code(connection, values["id"], values.get("credit_code"))
    row = {"status": "active", "created_at": datetime.now(UTC), **values}
    try:
        await connection.execute(insert(OrganisationRow).values(row))
    except IntegrityError as error:  # another worker was faster by a hair
        raise InvalidRequest("Field 'id' or 'credit_code' is taken. 企业标识或信用代码已存在。", param="id") from error
    told = {name: value for name, value in values.items() if value is not None}
    await record_act(connection, Act(actor, "organisations.create", values["id"], told))


async def ensure_organisation(connection: AsyncConnection, organisation: str, actor: str) -> bool:
    """Make an organisation of this id unless there is one; True when it was made."""
    if await organisation_row(connection, organisation) is not None:
        return False
    await add_organisation(connection, {"id": organisation, "name": organisation}, actor)
    return True


async def change_organisation(
    connection: AsyncConnection, organisation: str, changes: Mapping[str, Any], actor: str
) -> None:
    """Set columns of an organisation. Raises InvalidRequest when the credit code is another's."""
    await refuse_taken_code(connection, organisation, changes.get("credit_code"))
    await connection.execute(update(OrganisationRow).where(OrganisationRow.id == organisation).values(dict(changes)))
    await record_act(connection, Act(actor, "organisations.update", organisation, changes))


async def set_status(connection: AsyncConnection, organisation: str, status: Status, actor: str) -> bool:
    """Suspend, restore or close; False when there is nothing to change. A closed organisation stays closed."""
    done = await connection.execute(
        update(OrganisationRow)
        .where(OrganisationRow.id == organisation, OrganisationRow.status.not_in((status, "closed")))
        .values(status=status)
    )
    if done.rowcount:
        action = {"active": "restore", "suspended": "suspend", "closed": "close"}[status]
        await record_act(connection, Act(actor, f"organisations.{action}", organisation))
    return bool(done.rowcount)


async def organisation_row(connection: AsyncConnection, organisation: str) -> Row[Any] | None:
    """An organisation's row."""
    query = select(*OrganisationRow.__table__.columns).where(OrganisationRow.id == organisation)
    return (await connection.execute(query)).first()


async def refuse_taken_code(connection: AsyncConnection, organisation: str, code: str | None) -> None:
    """Raise InvalidRequest when another organisation has this credit code."""
    if code is None:
        return
    query = select(OrganisationRow.id).where(OrganisationRow.credit_code == code, OrganisationRow.id != organisation)
    if (await connection.execute(query)).first() is not None:
        raise InvalidRequest(
            "Field 'credit_code' belongs to another organisation; check it, or use that one. 该信用代码已登记。",
            param="credit_code",
        )

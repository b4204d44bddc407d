"""What the control API and the command line do with vouchers: one transaction each, with the record of the act."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.verdict import RulesError
from gateway.audit.acts import Act, record_act
from gateway.errors import InvalidRequest
from gateway.ledger.codes import Batch, make_codes, redeem
from gateway.ledger.postings import GRANTS, NewGrant, create_grant, withdraw_grant
from gateway.ledger.tables import Grant
from gateway.ledger.vouchers_csv import Imported, import_vouchers
from gateway.store import ApiKey
from gateway.tenants.tables import OrganisationRow


async def give(connection: AsyncConnection, now: datetime, grant: NewGrant, by: str) -> str:
    """Make one grant; its id. Raises InvalidRequest for a number that is used or a holder that isn't known."""
    if await strangers(connection, [grant.tenant]):
        raise InvalidRequest(
            f"'{grant.tenant}' is no organisation's id and no key's; see `opcgate tenants list`. 没有这个企业。",
            param="tenant",
        )
    query = select(Grant.id).where(Grant.issuer == grant.issuer, Grant.number == grant.number)
    if (await connection.execute(query)).first() is not None:
        raise InvalidRequest(
            f"{grant.issuer} has given a voucher of number {grant.number} already; take another. 券号已存在。",
            param="number",
        )
    grant_id = await connection.run_sync(create_grant, now, grant, by)
    detail = {"tenant": grant.tenant, "issuer": grant.issuer, "number": grant.number, "amount": grant.amount}
    await record_act(connection, Act(by, "vouchers.grant", grant_id, detail))
    return grant_id


async def give_list(connection: AsyncConnection, now: datetime, grants: list[NewGrant], name: str, by: str) -> Imported:
    """Import a list whole or not at all. Raises RulesError for unknown holders and numbers of other content."""
    unknown = await strangers(connection, {one.tenant for one in grants})
    if unknown:
        raise RulesError(
            f"{name}: tenant: {', '.join(unknown[:5])}: no organisation and no key has this id. Nothing was imported.",
            f"{name}：tenant：{'、'.join(unknown[:5])} 不是企业或密钥的标识，未导入。",
        )
    done = await connection.run_sync(import_vouchers, now, grants, name, by)
    if done.new:
        await record_act(connection, Act(by, "vouchers.import", name[-100:], {"new": done.new, "known": done.known}))
    return done


async def take_back(connection: AsyncConnection, now: datetime, grant_id: str, by: str) -> int | None:
    """Withdraw a grant; the amount that was available, None for no active grant."""
    amount = await connection.run_sync(withdraw_grant, now, grant_id)
    if amount is not None:
        await record_act(connection, Act(by, "vouchers.withdraw", grant_id, {"amount": amount}))
    return amount


async def print_codes(connection: AsyncConnection, now: datetime, batch: Batch, by: str) -> tuple[str, list[str]]:
    """Make a batch of redeem codes: its id and the codes."""
    batch_id, codes = await connection.run_sync(make_codes, now, batch)
    detail = {"count": batch.count, "amount": batch.amount, "issuer": batch.issuer}
    await record_act(connection, Act(by, "vouchers.codes", batch_id, detail))
    return batch_id, codes


async def redeem_code(
    connection: AsyncConnection, now: datetime, holder: str, code: str, by: str, tries: int
) -> str | None:
    """Redeem a code for a holder: the grant's id; None for a code that can't be. Raises RateLimited."""
    grant_id = await connection.run_sync(redeem, now, holder, code, by, tries)
    if grant_id is not None:
        await record_act(connection, Act(by, "vouchers.redeem", grant_id, {"tenant": holder}))
    return grant_id


async def grant_row(connection: AsyncConnection, grant_id: str) -> Grant | None:
    """One grant."""
    row = (await connection.execute(select(*GRANTS).where(Grant.id == grant_id))).first()
    return None if row is None else Grant(**row._mapping)


async def strangers(connection: AsyncConnection, holders: Iterable[str]) -> list[str]:
    """Those that are neither organisations nor keys: a misspelt holder could never spend its vouchers."""
    wanted = list(holders)
    known: set[str | None] = set()
    for start in range(0, len(wanted), 500):
        some = wanted[start : start + 500]
        for column in (OrganisationRow.id, ApiKey.id, ApiKey.tenant):
            known |= set((await connection.execute(select(column).where(column.in_(some)))).scalars())
    return sorted(one for one in wanted if one not in known)

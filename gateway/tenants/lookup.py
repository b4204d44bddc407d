"""One look-up: a key's digest to its caller, with what its organisation and member add or take away."""

from sqlalchemy import and_, bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.moments import unix
from gateway.store import ApiKey, LabelAgreement
from gateway.tenants.addresses import parse_networks
from gateway.tenants.agreements import IN_FORCE, Agreement
from gateway.tenants.caller import Caller, least
from gateway.tenants.suspension import suspended_until
from gateway.tenants.tables import MemberRow, OrganisationRow

QUERY = (
    select(
        *ApiKey.__table__.columns,
        OrganisationRow.status.label("tenant_status"),
        OrganisationRow.policy.label("tenant_policy"),
        OrganisationRow.label_position.label("tenant_label_position"),
        OrganisationRow.region.label("tenant_region"),
        MemberRow.role.label("member_role"),
        MemberRow.owner.label("member_owner"),
        MemberRow.status.label("member_status"),
        LabelAgreement.id.label("agreement"),
        LabelAgreement.version.label("agreement_version"),
    )
    .join(OrganisationRow, OrganisationRow.id == ApiKey.tenant)
    .outerjoin(MemberRow, and_(MemberRow.id == ApiKey.member, MemberRow.organisation == ApiKey.tenant))
    .outerjoin(LabelAgreement, LabelAgreement.id == IN_FORCE)
    .where(
        or_(ApiKey.digest == bindparam("digest"), ApiKey.previous_digest == bindparam("digest")),
        ApiKey.revoked_at.is_(None),
        OrganisationRow.status != "closed",
    )
)


async def look_up(engine: AsyncEngine, digest: str) -> Caller | None:
    """The caller of a key that is valid as of now; None for any other. Times are left to the caller to compare."""
    async with engine.connect() as connection:
        row = (await connection.execute(QUERY, {"digest": digest})).first()
    if row is None or (row.member is not None and row.member_status != "active"):
        return None
    old = row.digest != digest
    ends = [unix(one) for one in (row.expires_at, row.previous_until if old else None) if one is not None]
    role = "caller" if row.member is None else least(row.member_role, row.role or row.member_role)
    return Caller(
        row.id,
        min(ends, default=None),
        label_position=row.label_position or row.tenant_label_position,
        agreement=None if row.agreement is None else Agreement(row.agreement, row.agreement_version),
        policy=row.policy,
        tenant=row.tenant,
        suspended_until=suspended_until(row.suspended_at, row.suspended_until, row.restored_at),
        role=role,
        member=row.member,
        owner=bool(row.member_owner),
        scopes=None if row.scopes is None else frozenset(row.scopes),
        models=None if row.models is None else frozenset(row.models),
        networks=parse_networks(row.addresses or ()),
        tenant_policy=row.tenant_policy,
        tenant_suspended=row.tenant_status != "active",
        region=row.tenant_region,
        key_version=row.version - 1 if old else row.version,
    )


async def digest_of_key(engine: AsyncEngine, key_id: str) -> str | None:
    """The digest under which a key is looked up, for what acts for a key without having it; None for no such key."""
    async with engine.connect() as connection:
        return (await connection.execute(select(ApiKey.digest).where(ApiKey.id == key_id))).scalar_one_or_none()

"""Checks that bodies of several routes share: what is sent must make sense to this deployment."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.build import policy_shelf
from compliance.verdict import RulesError
from configs.schema import ComplianceSettings
from configs.sections.tenants import TenantSettings
from gateway.errors import InvalidRequest
from gateway.tenants.addresses import parse_networks
from gateway.tenants.caller import Role, least
from gateway.tenants.members import member_row
from gateway.tenants.organisations import credit_code, organisation_row
from gateway.tenants.shapes import Body


def sent(body: Body, *, required: Collection[str] = ()) -> dict[str, Any]:
    """The fields that were sent. Raises InvalidRequest when there are none, or null for one that needs a value."""
    changes = body.model_dump(exclude_unset=True)
    if not changes:
        raise InvalidRequest("Send at least one field to change. 请至少提供一个要修改的字段。", param="body")
    for name in required:
        if name in changes and changes[name] is None:
            raise InvalidRequest(f"Field '{name}' can't be null; leave it out or give a value. 不能为空。", param=name)
    return changes


def checked_organisation(changes: Mapping[str, Any], settings: TenantSettings) -> dict[str, Any]:
    """An organisation's fields in stored form. Raises InvalidRequest for a wrong credit code or an unknown sector."""
    checked = dict(changes)
    if checked.get("credit_code") is not None:
        checked["credit_code"] = credit_code(checked["credit_code"])
    if checked.get("sector") is not None and checked["sector"] not in settings.sectors:
        raise InvalidRequest(
            f"Field 'sector' is one of {', '.join(settings.sectors)}. 所属行业请用上述值之一。", param="sector"
        )
    return checked


def checked_addresses(addresses: Collection[str] | None) -> list[str] | None:
    """Networks in their written form. Raises InvalidRequest."""
    return None if addresses is None else [str(one) for one in parse_networks(addresses)]


async def check_policy_name(policy: str | None, settings: ComplianceSettings) -> None:
    """Raise InvalidRequest for a policy that can't be used, before anything depends on it."""
    if policy is None:
        return
    try:
        await asyncio.to_thread(lambda: policy_shelf(settings).stack((policy,)))
    except RulesError as error:
        raise InvalidRequest(f"Field 'policy': {error}", param="policy") from error


async def check_member(connection: AsyncConnection, organisation: str, member: str | None, role: Role | None) -> None:
    """A key's member is an active one of its organisation, and its role at most that member's. Raises InvalidRequest.

    A key without a member belongs to the organisation itself and is a caller's.
    """
    if await organisation_row(connection, organisation) is None:
        raise InvalidRequest(
            f"Field 'organisation': there is no '{organisation}'; make it first. 没有这个企业。", param="organisation"
        )
    row = None if member is None else await member_row(connection, member)
    if member is not None and (row is None or row.organisation != organisation or row.status != "active"):
        raise InvalidRequest(
            f"Field 'member': '{organisation}' has no such active member; list its members. 该企业没有此有效成员。",
            param="member",
        )
    most: Role = "caller" if row is None else row.role
    if role is not None and least(role, most) != role:
        raise InvalidRequest(
            f"Field 'role': at most {most}, the role of the key's member. 密钥角色不得高于成员角色 {most}。",
            param="role",
        )

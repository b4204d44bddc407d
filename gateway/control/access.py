"""Who may use a control route: `Depends(require("operator"))` gives the actor, or refuses."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request

from gateway.chat import Gateway
from gateway.errors import Forbidden, InvalidRequest, NotFound
from gateway.tenants.caller import ROLES, Caller, Role
from gateway.tenants.credentials import credentials_of
from gateway.tenants.scopes import check_scope


@dataclass(frozen=True, slots=True)
class Actor:
    """The caller of a control route, as records of acts name it."""

    caller: Caller

    @property
    def name(self) -> str:
        """The key's id: acts name keys, and keys name their members."""
        return self.caller.key_id

    @property
    def is_operator(self) -> bool:
        """True for the platform's operators, who see every organisation."""
        return self.caller.role == "operator"

    def sees(self, organisation: str | None) -> bool:
        """True when this actor may know of what belongs to the organisation."""
        return self.is_operator or organisation == self.caller.tenant

    def manages(self, organisation: str | None) -> bool:
        """True when this actor may change the organisation's members and keys."""
        return self.is_operator or (self.caller.owner and organisation == self.caller.tenant)

    def reaches(self, role: str) -> bool:
        """True when this actor may give the role, and change members and keys that have it.

        Reviewers and operators are the platform's people: an owner reaches authors, or as far as its own role.
        """
        return role in ROLES[: max(ROLES.index("author"), ROLES.index(self.caller.role)) + 1]

    def must_see(self, organisation: str | None) -> None:
        """Raise NotFound, as for what does not exist, for another organisation's things."""
        if not self.sees(organisation):
            raise nothing_here()

    def must_manage(self, organisation: str | None) -> None:
        """Raise NotFound for another organisation's things, Forbidden for who isn't its owner."""
        self.must_see(organisation)
        if not self.manages(organisation):
            raise Forbidden(
                "Only an owner of the organisation or an operator may do this. 仅企业所有者或平台运营人员可操作。"
            )


def nothing_here() -> NotFound:
    """The one answer for what does not exist and for what belongs to others."""
    return NotFound("Nothing here has this id; list what there is. 没有此标识对应的内容。")


def gateway_of(request: Request) -> Gateway:
    """The running gateway behind a route."""
    gateway: Gateway = request.app.state.gateway
    return gateway


async def caller_of(request: Request) -> Caller:
    """Whoever sends the request with a valid key.

    Raises Unauthorized, KeySuspended, DirectoryUnavailable, and InvalidRequest for a key sent twice and for zero
    characters in the address, which PostgreSQL can't even compare with.
    """
    if "\0" in request.scope["path"] or b"%00" in request.scope["query_string"]:
        raise InvalidRequest("The path and its parameters can't hold zero characters. 路径与参数不能含空字符。")
    keys = gateway_of(request).keys
    return await keys.authenticate(credentials_of(request.scope["headers"]), keys.proxies.client(request.scope))


def require(*roles: Role) -> Callable[..., Awaitable[Actor]]:
    """A dependency that lets only keys of these roles and of scope `control` through; no role given: all roles.

    Raises Unauthorized, Forbidden.
    """
    allowed = roles or ROLES

    async def actor(request: Request) -> Actor:
        caller = await caller_of(request)
        check_scope(caller, "control")
        if caller.role not in allowed:
            raise Forbidden(
                f"This needs a key of role {' or '.join(allowed)}; this key's role is {caller.role}. "
                f"需要角色为 {'、'.join(allowed)} 的密钥。"
            )
        return Actor(caller)

    return actor

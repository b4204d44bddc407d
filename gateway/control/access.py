"""Who may use a control route: `Depends(require("operator"))` gives the actor, or refuses."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Header, Request

from gateway.chat import Gateway
from gateway.errors import Forbidden
from gateway.tenants.keys import Caller, Role


@dataclass(frozen=True, slots=True)
class Actor:
    """The caller of a control route, as records of acts name it."""

    caller: Caller

    @property
    def name(self) -> str:
        """The key's id: acts name keys, and keys name their members."""
        return self.caller.key_id


def gateway_of(request: Request) -> Gateway:
    """The running gateway behind a route."""
    gateway: Gateway = request.app.state.gateway
    return gateway


def require(*roles: Role) -> Callable[..., Awaitable[Actor]]:
    """A dependency that lets only keys of these roles through. Raises Unauthorized, Forbidden."""

    async def actor(request: Request, authorization: Annotated[str | None, Header()] = None) -> Actor:
        credentials = authorization.encode("latin-1") if authorization else None
        address = request.client.host if request.client else None
        caller = await gateway_of(request).keys.authenticate(credentials, address)
        if caller.role not in roles:
            raise Forbidden(
                f"This needs a key of role {' or '.join(roles)}; this key's role is {caller.role}. "
                f"需要角色为 {'、'.join(roles)} 的密钥。"
            )
        return Actor(caller)

    return actor

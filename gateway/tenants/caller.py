"""Who asks, as every later step of a request sees them."""

from dataclasses import dataclass
from typing import Literal

from configs.schema import LabelPosition
from gateway.tenants.addresses import Network
from gateway.tenants.agreements import Agreement

Role = Literal["caller", "author", "reviewer", "operator"]
ROLES: tuple[Role, ...] = ("caller", "author", "reviewer", "operator")
"""From the one that may least to the one that may most."""

Scope = Literal["inference", "moderations", "files", "control"]
ALL_SCOPES: tuple[Scope, ...] = ("inference", "moderations", "files", "control")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the key's id (never the key) and until when it is valid (Unix seconds, None is for ever).

    `suspended_until` is infinite until an operator lifts it. `scopes` and `models` are None for all of them;
    `networks` is empty for anywhere. `key_version` counts a key's rotations: it tells its secrets apart.
    """

    key_id: str
    expires_at: float | None
    label_position: LabelPosition | None = None
    agreement: Agreement | None = None
    policy: str | None = None
    tenant: str | None = None
    suspended_until: float | None = None
    role: Role = "caller"
    member: str | None = None
    owner: bool = False
    scopes: frozenset[str] | None = None
    models: frozenset[str] | None = None
    networks: tuple[Network, ...] = ()
    tenant_policy: str | None = None
    tenant_suspended: bool = False
    region: str | None = None
    key_version: int = 1

    @property
    def holder(self) -> str:
        """Who spends vouchers and has turns: the key's tenant, or the key by itself when it has none."""
        return self.tenant or self.key_id

    def may_use(self, model: str) -> bool:
        """True when this key may call the model of this public id."""
        return self.models is None or model in self.models


def least(*roles: Role) -> Role:
    """The role of these that may least."""
    return min(roles, key=ROLES.index)

"""Settings of tenants: organisations, their members and keys."""

from ipaddress import ip_network
from typing import Literal

from pydantic import Field, field_validator

from configs.strict import Strict

SECTORS = (
    "software",
    "ecommerce",
    "media",
    "short_drama",
    "games",
    "design",
    "education",
    "consulting",
    "manufacturing",
    "agriculture",
    "logistics",
    "healthcare",
    "finance",
    "culture_tourism",
    "public_service",
    "other",
)


class TenantSettings(Strict):
    """Organisations and their keys (docs/tenants.md).

    `sectors` is what an organisation may state as its trade; statistics count by it. `trusted_proxies` are the
    networks whose X-Forwarded-For is believed. While the database is away, known keys go on for `stale_keys_seconds`
    past their cache's time, and a look-up is given up after `look_up_seconds`. A policy's rule of repeated violations
    counts and suspends by key, or all keys of an organisation together (`violations_suspend`).
    """

    sectors: tuple[str, ...] = Field(SECTORS, min_length=1)
    trusted_proxies: tuple[str, ...] = ()
    stale_keys_seconds: float = Field(60.0, ge=0)
    look_up_seconds: float = Field(2.0, gt=0)
    cached_keys: int = Field(10_000, ge=1)
    last_used_interval_seconds: float = Field(60.0, gt=0)
    rotation_overlap_hours: float = Field(24.0, ge=0, le=720)
    cut_streams_on_revoke: bool = False
    violations_suspend: Literal["key", "organisation"] = "key"

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for one in networks:
            try:
                ip_network(one)
            except ValueError as error:
                raise ValueError(f"{error}; write a network like 10.0.0.0/8 or fd00::/8") from None
        return networks

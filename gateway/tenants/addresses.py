"""Addresses: where a request really comes from behind proxies, and whether a key may be used from there."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import Scope

from gateway.errors import InvalidRequest

Network = IPv4Network | IPv6Network


def parse_networks(texts: Iterable[str], field: str = "addresses") -> tuple[Network, ...]:
    """Networks from CIDR texts; a bare address is a network of one. Raises InvalidRequest naming the field."""
    networks = []
    for place, text in enumerate(texts):
        try:
            networks.append(ip_network(text))
        except ValueError:
            raise InvalidRequest(
                f"Field '{field}[{place}]' isn't a network; write an address or a CIDR without host bits, "
                "like 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32. 请填写 IP 地址或 CIDR 网段。",
                param=f"{field}[{place}]",
            ) from None
    return tuple(networks)


def within(address: str | None, networks: Iterable[Network]) -> bool:
    """True when the address is in one of the networks; an address that is not known is in none."""
    parsed = None if address is None else _parse(address)
    return parsed is not None and any(parsed in one for one in networks)


class Proxies:
    """The proxies in front of the gateway whose X-Forwarded-For is believed."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(ip_network(one) for one in networks)

    def client(self, scope: Scope) -> str | None:
        """The client's address: the rightmost one that is no trusted proxy. None when it can't be told.

        What stands further left was written by the client itself, and so proves nothing.
        """
        peer: str | None = scope["client"][0] if scope.get("client") else None
        if not self._networks or not within(peer, self._networks):
            return peer
        hops = [
            hop.strip()
            for name, value in scope["headers"]
            if name == b"x-forwarded-for"
            for hop in value.decode("latin-1").split(",")
        ]
        nearest = peer
        for hop in reversed(hops):
            parsed = _parse(hop)
            if parsed is None:
                return None
            nearest = str(parsed)
            if not within(hop, self._networks):
                break
        return nearest


@lru_cache(maxsize=4096)
def _parse(address: str) -> IPv4Address | IPv6Address | None:
    """An address, with a port or without; IPv4 inside IPv6 counts as IPv4. None for anything else."""
    if address.startswith("["):
        address = address[1:].partition("]")[0]
    elif address.count(":") == 1:
        address = address.partition(":")[0]
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed

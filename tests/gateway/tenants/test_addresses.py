"""Where a request comes from, by tests/cases/tenant_addresses.jsonl."""

from typing import Any

import pytest
from pydantic import ValidationError

from configs.sections.tenants import TenantSettings
from gateway.errors import InvalidRequest
from gateway.tenants.addresses import Proxies, parse_networks, within
from tests.conftest import read_cases


@pytest.mark.parametrize("row", read_cases("tenant_addresses.jsonl"), ids=lambda row: row["note"])
def test_golden_rows(row: dict[str, Any]) -> None:
    headers = [(b"x-forwarded-for", one.encode()) for one in row["forwarded"]]
    scope = {"client": None if row["peer"] is None else (row["peer"], 1), "headers": [(b"host", b"x"), *headers]}
    client = Proxies(row["trusted"]).client(scope)
    assert client == row["client"]
    if "may" in row:
        assert within(client, parse_networks(row["allowed"])) == row["may"]


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0", "example.com", "", "10.0.0.0/33", "2001:db8::1/32"])
def test_what_is_no_network_is_refused_by_its_place(text: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        parse_networks(["10.0.0.0/8", text])
    assert error.value.param == "addresses[1]"
    with pytest.raises(ValidationError, match=r"write a network like 10\.0\.0\.0/8"):
        TenantSettings(trusted_proxies=(text or "x",))

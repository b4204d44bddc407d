"""PostgreSQL keeps no zero characters: whoever sends one is told so, over every route that stores or looks up."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from tests.gateway.tenants.conftest import Site

NAME = "zero_characters"
VOUCHER = {"tenant": "a\0b", "issuer": "i", "number": "1", "units": "1", "valid_from": "2026-01-01T00:00:00Z"}
BODIES = [
    ("/keys", {"name": "n", "organisation": "\0"}),
    ("/keys", {"name": "n", "member": "\0"}),
    ("/vouchers", VOUCHER | {"valid_until": "2099-01-01T00:00:00Z"}),
]


@pytest.fixture(scope="module")
def url(postgres: str) -> str:
    asyncio.run(fresh_database(postgres))
    return make_url(postgres).set(database=NAME).render_as_string(hide_password=False)


async def fresh_database(postgres: str) -> None:
    admin = create_async_engine(postgres, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)"))
        await connection.execute(text(f"CREATE DATABASE {NAME}"))
    await admin.dispose()


@pytest.fixture(scope="module")
def site(open_site: Callable[..., AbstractContextManager[Site]], url: str) -> Iterator[Site]:
    with open_site(database={"url": url}) as opened:
        yield opened


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_in_a_body(site: Site, path: str, body: dict) -> None:
    answer = site.api(site.operator, "POST", path, json=body)
    assert answer.status_code == 400, answer.text
    assert "zero character" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/keys/%00", "/keys?after=%00", "/balance?tenant=%00"])
def test_in_an_address(site: Site, path: str) -> None:
    assert site.api(site.operator, "GET", path).status_code == 400


def test_in_a_batch(site: Site) -> None:
    body = {"model": "opc-starter", "messages": [{"role": "user", "content": "hi"}]}
    line = {"custom_id": "a\0b", "method": "POST", "url": "/v1/chat/completions", "body": body}
    files = {"file": ("in.jsonl", json.dumps(line).encode())}
    file_id = site.call(site.operator, "POST", "/v1/files", files=files, data={"purpose": "batch"}).json()["id"]
    batch = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    assert site.call(site.operator, "POST", "/v1/batches", json=batch).status_code == 400

"""A gateway with the control API on a real socket, and organisations with people and keys for every test."""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import httpx
import pytest
import yaml
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from configs.loader import load_settings
from configs.schema import Settings
from gateway.store import ApiKey, open_engine, writing
from gateway.tenants.caller import Role
from gateway.tenants.keys import KeySpec, add_key
from gateway.tenants.members import add_member
from gateway.tenants.organisations import add_organisation
from gateway.tenants.tables import MemberRow, OrganisationRow
from loadtests.fake_engine import FakeEngine, running
from tests.conftest import ROOT
from tests.gateway.conftest import serving, wait_ready

T = TypeVar("T")
CATALOG = """
models:
  - id: opc-starter
    source: {huggingface: none/none}
    context_tokens: 1024
  - id: opc-other
    source: {huggingface: none/none}
    context_tokens: 1024
"""
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Company:
    """An organisation with an owner, a member who is none, and a key of the member."""

    id: str
    owner: str
    owners_key: str
    member: str
    members_key: str
    key: str
    told: tuple[str, ...]
    """Ids and addresses by which an answer would give something of the organisation away."""


@dataclass(frozen=True)
class Site:
    """The gateway, its database, its fake engine and an operator's key."""

    url: str
    settings: Settings
    engine: FakeEngine
    operator: str
    operators_key: str
    client: httpx.Client
    database: AsyncEngine
    loop: asyncio.Runner

    def call(self, key: str | None, method: str, path: str, **fields: Any) -> httpx.Response:
        headers = fields.pop("headers", {}) | ({"authorization": f"Bearer {key}"} if key else {})
        return self.client.request(method, path, headers=headers, **fields)

    def api(self, key: str | None, method: str, path: str, **fields: Any) -> httpx.Response:
        return self.call(key, method, f"/api/v1{path}", **fields)

    def chat(self, key: str, model: str = "opc-starter", **fields: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "写一句文案"}]}
        return self.call(key, "POST", "/v1/chat/completions", json=body, **fields)

    def change(self, use: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Something done in the database, beside the gateway."""

        async def within() -> T:
            async with writing(self.database) as connection:
                return await use(connection)

        return self.loop.run(within())

    def key(self, **fields: Any) -> tuple[str, str]:
        """A new key: its id and itself."""
        return self.change(lambda connection: add_key(connection, KeySpec("t", **fields), "test"))

    def people(self, company: Company, role: Role, *, owner: bool = True) -> tuple[str, str]:
        """One more person of the company, with a key: the key's id and itself."""

        async def make(connection: AsyncConnection) -> tuple[str, str]:
            email = f"{next(NUMBERS)}@a.example"
            member = await add_member(connection, company.id, "李", email, role, "test", owner=owner)
            return await add_key(connection, KeySpec(role, company.id, member), "test")

        return self.change(make)

    def company(self) -> Company:
        return self.change(make_company)

    def dump(self, company: Company) -> list[dict[str, Any]]:
        """Every row of the company, without what use alone changes."""

        async def read(connection: AsyncConnection) -> list[dict[str, Any]]:
            rows = []
            for table, owner in (
                (OrganisationRow, OrganisationRow.id),
                (MemberRow, MemberRow.organisation),
                (ApiKey, ApiKey.tenant),
            ):
                query = select(*table.__table__.columns).where(owner == company.id).order_by(table.id)
                rows += [dict(row) for row in (await connection.execute(query)).mappings()]
            return [{name: value for name, value in row.items() if name != "last_used_at"} for row in rows]

        return self.change(read)


async def make_company(connection: AsyncConnection) -> Company:
    name = f"org-{next(NUMBERS)}-{secrets.token_hex(4)}"
    await add_organisation(connection, {"id": name, "name": name}, "test")
    owner = await add_member(connection, name, "赵", f"owner@{name}.example", "caller", "test", owner=True)
    member = await add_member(connection, name, "钱", f"member@{name}.example", "caller", "test", owner=False)
    owners_id, owners_key = await add_key(connection, KeySpec("owner", name, owner), "test")
    members_id, members_key = await add_key(connection, KeySpec("member", name, member), "test")
    key_id, _ = await add_key(connection, KeySpec("shop", name), "test")
    return Company(
        name,
        owner,
        owners_key,
        member,
        members_key,
        key_id,
        (name, owner, member, owners_id, members_id, key_id, f"owner@{name}", f"member@{name}"),
    )


def site_settings(folder: Any, upstream: str, **sections: dict[str, Any]) -> Settings:
    """Settings of a gateway of its own."""
    (folder / "models.yaml").write_text(CATALOG)
    content: dict[str, Any] = {
        "catalog": "models.yaml",
        "database": {"url": f"sqlite+aiosqlite:///{folder}/opcgate.db", "key_cache_seconds": 0.2},
        "upstream": {"idle_seconds": 5.0, "probe_interval_seconds": 0.3, "probe_timeout_seconds": 1.0},
        "compliance": {
            "policy": f"{ROOT}/configs/policies/base.yaml",
            "lexicons": [f"{ROOT}/configs/lexicons/starter.tsv"],
            "allow_lists": [f"{ROOT}/configs/lexicons/allow.tsv"],
        },
        "labels": {"key_file": f"{folder}/label-key.pem"},
        "nodes": [{"name": "fake", "url": upstream, "models": ["opc-starter", "opc-other"]}],
        **sections,
    }
    (folder / "opcgate.yaml").write_text(yaml.safe_dump(content))
    return load_settings(folder / "opcgate.yaml")


@pytest.fixture(scope="session")
def fake() -> Iterator[tuple[FakeEngine, str]]:
    engine = FakeEngine(("opc-starter", "opc-other"))
    with running(engine) as upstream:
        yield engine, upstream


@pytest.fixture(scope="session")
def open_site(fake: tuple[FakeEngine, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """A context manager that serves a site with these sections of settings."""

    class Opened:
        def __init__(self, **sections: dict[str, Any]) -> None:
            self.settings = site_settings(tmp_path_factory.mktemp("tenants"), fake[1], **sections)
            self.serving = serving(self.settings)

        def __enter__(self) -> Site:
            url = self.serving.__enter__()
            client = self.client = httpx.Client(base_url=url, timeout=20)
            wait_ready(client)
            self.database = open_engine(self.settings.database)
            self.loop = asyncio.Runner()
            site = Site(url, self.settings, fake[0], "", "", client, self.database, self.loop)

            async def operator(connection: AsyncConnection) -> tuple[str, str]:
                member = await add_member(connection, "default", "孙", "op@a.example", "operator", "test", owner=False)
                return await add_key(connection, KeySpec("operator", "default", member), "test")

            key_id, key = site.change(operator)
            return replace(site, operator=key, operators_key=key_id)

        def __exit__(self, *_: object) -> None:
            self.client.close()
            self.loop.run(self.database.dispose())
            self.loop.close()
            self.serving.__exit__()

    return Opened


@pytest.fixture(scope="session")
def site(open_site: Callable[..., Any], request: pytest.FixtureRequest) -> Iterator[Site]:
    with open_site() as opened:
        yield opened

"""A gateway in front of the fake engine that keeps all texts, for tests through its front door."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from configs.loader import load_settings
from configs.schema import Settings
from gateway.store import with_database, writing
from gateway.tenants.caller import Role
from gateway.tenants.keys import KeySpec, add_key
from gateway.tenants.members import add_member
from gateway.tenants.organisations import ensure_organisation
from loadtests.fake_engine import FakeEngine, Script, running
from tests.conftest import ROOT
from tests.gateway.conftest import CATALOG, serving, wait_ready


@dataclass
class AuditSite:
    """The gateway's address, its settings, and keys by what they are for."""

    url: str
    settings: Settings
    config: Path
    engine: FakeEngine
    keys: dict[str, str]

    def ask(self, content: str, *, key: str = "caller", **fields: object) -> httpx.Response:
        body = {"model": "opc-starter", "messages": [{"role": "user", "content": content}]} | fields
        return httpx.post(f"{self.url}/v1/chat/completions", json=body, headers=self.headers(key), timeout=20)

    def get(self, path: str, key: str = "operator", **params: Any) -> httpx.Response:
        return httpx.get(f"{self.url}/api/v1{path}", params=params, headers=self.headers(key), timeout=20)

    def post(self, path: str, body: dict[str, Any], key: str | None = "operator", **headers: str) -> httpx.Response:
        sent = (self.headers(key) if key else {}) | headers
        return httpx.post(f"{self.url}/api/v1{path}", json=body, headers=sent, timeout=20)

    def headers(self, key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[key]}"}


def write_site(folder: Path, upstream: str, port: int = 8000, **sections: Any) -> Path:
    configs = ROOT / "configs"
    (folder / "models.yaml").write_text(CATALOG)
    settings = {
        "catalog": "models.yaml",
        "listen": {"port": port},
        "database": {"url": f"sqlite+aiosqlite:///{folder}/opcgate.db", "key_cache_seconds": 0.2},
        "upstream": {"probe_interval_seconds": 0.3},
        "compliance": {
            "policy": str(configs / "policies" / "base.yaml"),
            "lexicons": [str(configs / "lexicons" / "starter.tsv")],
            "allow_lists": [],
        },
        "labels": {"key_file": str(folder / "label-key.pem")},
        "audit": {
            "key_file": str(folder / "audit-key.pem"),
            "text_key_file": str(folder / "texts.txt"),
            "keep_text": {"prompt": "all", "answer": "all"},
            "sign_seconds": 0.2,
        },
        "nodes": [{"name": "fake", "url": upstream, "models": ["opc-starter"]}],
    } | sections
    (folder / "opcgate.yaml").write_text(yaml.safe_dump(settings))
    return folder / "opcgate.yaml"


MEMBERS: dict[str, tuple[str, Role, bool]] = {
    "caller": ("org-a", "caller", False),
    "colleague": ("org-a", "caller", False),
    "owner": ("org-a", "caller", True),
    "other": ("org-b", "caller", True),
    "operator": ("platform", "operator", False),
    "reviewer": ("platform", "reviewer", False),
}


def make_keys(settings: Settings) -> dict[str, str]:
    """Keys of members of three organisations, by what they are for."""

    async def make(engine: Any) -> dict[str, str]:
        keys = {}
        async with writing(engine) as connection:
            for name, (organisation, role, owner) in MEMBERS.items():
                await ensure_organisation(connection, organisation, "cli:test")
                email = f"{name}@example.com"
                member = await add_member(connection, organisation, name, email, role, "cli:test", owner=owner)
                _, keys[name] = await add_key(connection, KeySpec(name, tenant=organisation, member=member), "cli:test")
        return keys

    return asyncio.run(with_database(settings.database, make))


@contextmanager
def audit_site(folder: Path, **sections: Any) -> Iterator[AuditSite]:
    engine = FakeEngine(("opc-starter",))
    with running(engine) as upstream:
        config = write_site(folder, upstream, **sections)
        settings = load_settings(config)
        keys = make_keys(settings)
        with serving(settings) as url, httpx.Client(base_url=url) as client:
            wait_ready(client)
            engine.script = Script([{"content": "好的，"}, {"content": "没问题"}])
            yield AuditSite(url, settings, config, engine, keys)

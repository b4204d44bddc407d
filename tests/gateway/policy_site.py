"""A gateway with a few terms, policies and keys of its own, for tests of policies and of new rules under way."""

import asyncio
import json
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from configs.loader import load_settings
from configs.schema import Settings
from gateway.store import with_database
from gateway.tenants.keys import create_key
from loadtests.fake_engine import FakeEngine
from tests.conftest import ROOT
from tests.gateway.conftest import CATALOG

BAD, ZH, EN = "哪里卖毒品", "抱歉，换个话题吧。", "Sorry, something else please."
POLICIES: dict[str, dict] = {
    "answering": {
        "extends": "default",
        "default": {"prompt": {"high": "replace"}, "output": {"high": "replace"}},
        "risks": {"ip": {"prompt": {"medium": "block"}}},
        "answers": {"default": {"zh": ZH, "en": EN}, "risks": {"ip": {"zh": "版权", "en": "copyright"}}},
    },
    "at-once": {"extends": "default", "default": {"prompt": {"high": "suspend"}, "output": {"high": "suspend"}}},
    "counting-outputs": {"extends": "default", "repeated_violations": {"in_a_row": 2, "count": ["prompt", "output"]}},
    "unguarded": {"extends": "default", "scanners": {"guard": {"enabled": False}}},
    "shouting": {"extends": "default", "default": {"output": {"medium": "mask"}}, "placeholders": {"keyword": "!"}},
}


@dataclass
class Site:
    """A gateway with a few terms, policies and keys of its own, and the fake behind it."""

    url: str
    settings: Settings
    engine: FakeEngine
    folder: Path

    def key(self, **fields: str) -> tuple[str, str]:
        """A new key: its id, and itself."""
        return asyncio.run(with_database(self.settings.database, lambda engine: create_key(engine, "t", **fields)))

    def ask(self, key: str, content: str, *, path: str = "chat/completions", **fields: object) -> httpx.Response:
        text = {"prompt": content} if path == "completions" else {"messages": [{"role": "user", "content": content}]}
        body = {"model": "opc-starter"} | text | fields
        return httpx.post(f"{self.url}/v1/{path}", json=body, headers={"authorization": f"Bearer {key}"}, timeout=20)

    def record(self, response: httpx.Response) -> dict:
        """The request's row, its findings decoded."""
        with sqlite3.connect(self.folder / "opcgate.db") as database:
            database.row_factory = sqlite3.Row
            query = "SELECT * FROM requests WHERE id = ?"
            row = dict(database.execute(query, (response.headers["x-request-id"],)).fetchone())
        return row | {"findings": json.loads(row["findings"])}

    def wait_for(self, expected: dict) -> dict:
        """What /readyz says of the rules, once it says what is expected."""
        deadline = time.monotonic() + 20
        while True:
            rules = httpx.get(f"{self.url}/readyz").json()["rules"]
            if expected.items() <= rules.items():
                return rules
            assert time.monotonic() < deadline, rules
            time.sleep(0.02)

    def version(self) -> str:
        """The rules in force."""
        return str(httpx.get(f"{self.url}/readyz").json()["rules"]["version"])

    def wait_for_other_rules(self, than: str) -> None:
        """Return when other rules are in force."""
        deadline = time.monotonic() + 20
        while self.version() == than:
            assert time.monotonic() < deadline, "the rules did not change"
            time.sleep(0.02)


def write_settings(folder: Path, upstream: str, **compliance: object) -> Settings:
    (folder / "policies").mkdir(exist_ok=True)
    for name, fields in POLICIES.items():
        (folder / "policies" / f"{name}.yaml").write_text(yaml.safe_dump(fields, allow_unicode=True), encoding="utf-8")
    (folder / "terms.tsv").write_text("毒品\tother_illegal\thigh\n假货\tip\tmedium\n盗版\tip\thigh\n", encoding="utf-8")
    (folder / "models.yaml").write_text(CATALOG)
    settings = {
        "catalog": "models.yaml",
        "database": {"url": f"sqlite+aiosqlite:///{folder}/opcgate.db", "key_cache_seconds": 0.2},
        "upstream": {"probe_interval_seconds": 0.3},
        "compliance": {
            "policy": str(ROOT / "configs" / "policies" / "base.yaml"),
            "policy_folders": ["policies"],
            "lexicons": ["terms.tsv"],
            "allow_lists": [],
            "reload_interval_seconds": 0.05,
        }
        | compliance,
        "nodes": [{"name": "fake", "url": upstream, "models": ["opc-starter"]}],
    }
    (folder / "opcgate.yaml").write_text(yaml.safe_dump(settings))
    return load_settings(folder / "opcgate.yaml")

"""`opcgate tenants` and `opcgate keys`, as an operator types them."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gateway.cli import keys
from gateway.tenants.cli import tenants
from tests.gateway.tenants.conftest import site_settings


class Shell:
    """A terminal with a settings file of its own."""

    def __init__(self, folder: Path) -> None:
        site_settings(folder, "http://127.0.0.1:9")
        self._folder = folder

    def run(self, app: Any, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--config", str(self._folder / "opcgate.yaml")])

    def says(self, app: Any, *arguments: str) -> str:
        done = self.run(app, *arguments)
        assert done.exit_code == 0, done.output
        return done.stdout.strip()

    def refuses(self, app: Any, *arguments: str) -> str:
        done = self.run(app, *arguments)
        assert done.exit_code == 2, done.output
        assert done.stdout == ""
        return done.stderr

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self._folder / "opcgate.db") as database:
            return database.execute(query).fetchall()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_the_first_operator_and_no_second_one_by_accident(shell: Shell) -> None:
    who = ("--name", "孙", "--email", "op@a.example")
    key = shell.says(tenants, "bootstrap", *who)
    assert key.startswith("opc-")
    assert "--force" in shell.refuses(tenants, "bootstrap", "--name", "x", "--email", "x@a.example")
    assert "email" in shell.refuses(tenants, "bootstrap", *who, "--force")
    assert shell.says(tenants, "bootstrap", "--name", "x", "--email", "x@a.example", "--force") != key
    assert shell.rows("SELECT count(*) FROM members WHERE role = 'operator'") == [(2,)]
    acts = [action for (action,) in shell.rows("SELECT action FROM acts ORDER BY at")]
    assert acts == ["members.create", "keys.create"] * 2


def test_an_organisations_life(shell: Shell) -> None:
    shell.says(tenants, "create", "acme", "--name", "某某科技", "--region", "上海", "--sector", "software")
    assert "'acme' exists" in shell.refuses(tenants, "create", "acme", "--name", "x")
    assert "--id" in shell.refuses(tenants, "create", "A b", "--name", "x")
    assert "sector" in shell.refuses(tenants, "create", "b", "--name", "x", "--sector", "piracy")
    member = shell.says(tenants, "members", "add", "acme", "--name", "李", "--email", "li@a.example", "--owner")
    assert "no organisation" in shell.refuses(tenants, "members", "add", "b", "--name", "x", "--email", "x@a.example")
    assert "--role" in shell.refuses(
        tenants, "members", "add", "acme", "--name", "x", "--email", "x@a.example", "--role", "king"
    )
    shell.says(tenants, "members", "role", member, "author")
    (listed,) = json.loads(shell.says(tenants, "members", "list", "acme", "--json"))
    assert (listed["id"], listed["role"], listed["owner"]) == (member, "author", True)
    shell.says(keys, "create", "--name", "k", "--tenant", "acme", "--member", member)
    shown = json.loads(shell.says(tenants, "show", "acme", "--json"))
    assert (shown["name"], shown["members"], shown["keys"], shown["status"]) == ("某某科技", 1, 1, "active")
    shell.says(tenants, "suspend", "acme")
    assert "suspended" in shell.refuses(tenants, "suspend", "acme")
    shell.says(tenants, "restore", "acme")
    assert "1 key" in shell.says(tenants, "members", "remove", member)
    assert "no member" in shell.refuses(tenants, "members", "remove", member)
    shell.says(tenants, "close", "acme")
    assert "closed" in shell.refuses(tenants, "restore", "acme")
    statuses = {one["id"]: one["status"] for one in json.loads(shell.says(tenants, "list", "--json"))}
    assert statuses == {"default": "active", "acme": "closed"}


def test_keys_with_limits_and_their_rotation(shell: Shell) -> None:
    key = shell.says(
        keys, "create", "--name", "k", "--scope", "inference", "--scope", "files", "--model", "opc-starter",
        "--allow-address", "203.0.113.7", "--allow-address", "2001:db8::/32", "--notes", "门店", "--days", "30",
    )  # fmt: skip
    ((key_id, *stored),) = shell.rows("SELECT id, tenant, scopes, models, addresses, notes, version FROM api_keys")
    assert stored == [
        "default", '["inference","files"]', '["opc-starter"]', '["203.0.113.7/32","2001:db8::/32"]', "门店", 1,
    ]  # fmt: skip
    new = shell.says(keys, "rotate", key_id, "--overlap-hours", "2")
    assert new.startswith("opc-")
    assert new != key
    assert shell.rows("SELECT version, previous_digest IS NULL FROM api_keys") == [(2, 0)]
    assert "2001:db8::/32" in shell.says(keys, "show", key_id)
    shell.says(keys, "revoke", key_id)
    assert "no valid key" in shell.refuses(keys, "rotate", key_id)
    for wrong, named in (
        (("--scope", "everything"), "--scopes-0"),
        (("--allow-address", "10.0.0.1/8"), "addresses[0]"),
        (("--role", "operator"), "role"),
        (("--member", "mem_none"), "member"),
    ):
        assert named in shell.refuses(keys, "create", "--name", "k", *wrong)
    assert shell.rows("SELECT count(*) FROM api_keys") == [(1,)]


def test_a_key_for_a_tenant_that_has_no_organisation_yet_makes_one_as_before(shell: Shell) -> None:
    shell.says(keys, "create", "--name", "k", "--tenant", "acme")
    assert shell.rows("SELECT id, status FROM organisations ORDER BY id") == [("acme", "active"), ("default", "active")]

"""Who may do what through the control API, by tests/cases/control_routes.jsonl: every route, every role."""

from typing import Any

import pytest
from fastapi.routing import APIRoute

from gateway.control.routes import ROUTERS
from tests.conftest import read_cases
from tests.gateway.tenants.conftest import NUMBERS, Company, Site

ROWS = read_cases("control_routes.jsonl")
ROLES = ("operator", "owner", "member", "foreign")
FULL = [row for row in ROWS if "operator" in row]
WITH_KEY = [row for row in ROWS if "public" not in row]
DENIED = 403


class Pair:
    """Two companies, made anew only after a test has changed something of them."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.used = True

    def companies(self) -> tuple[Company, Company]:
        if self.used:
            self._both = self._site.company(), self._site.company()
            self.used = False
        return self._both


@pytest.fixture(scope="module")
def pair(site: Site) -> Pair:
    return Pair(site)


def test_every_route_has_a_row() -> None:
    routes = {
        f"{method} {route.path}"
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    asked = {row["route"].replace("{foreign}", "{organisation}").replace("{operators_key}", "{key}") for row in ROWS}
    assert sorted(routes - asked) == [], "add a row to tests/cases/control_routes.jsonl for each of these"
    assert sorted(asked - routes) == [], "no such route (any more)"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", FULL, ids=lambda row: row["route"] + str(row.get("body", row.get("query", ""))))
def test_roles(site: Site, pair: Pair, row: dict[str, Any], role: str) -> None:
    ours, theirs = pair.companies()
    key = {
        "operator": site.operator,
        "owner": ours.owners_key,
        "member": ours.members_key,
        "foreign": theirs.owners_key,
    }[role]
    before = site.dump(ours)
    answer = ask(site, key, row, ours, theirs)
    assert answer.status_code == row[role], answer.text
    if answer.status_code >= 300:
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert any(ord(char) > 0x3000 for char in error["message"]), "errors are bilingual"
    if role == "foreign":
        for known in ours.told:
            assert known not in answer.text, "nothing of the other organisation comes back, not even what was sent"
    after = site.dump(ours)
    pair.used = after != before or (role == "foreign" and answer.status_code == 201)
    if answer.status_code >= 300 or role == "foreign":
        assert after == before, "nothing of the organisation has changed"


@pytest.mark.parametrize("row", [row for row in ROWS if "public" in row], ids=lambda row: row["route"])
def test_what_is_public_asks_for_no_key_and_tells_nothing(site: Site, pair: Pair, row: dict[str, Any]) -> None:
    ours, theirs = pair.companies()
    for key in (None, "opc-made-up", ours.owners_key):
        answer = ask(site, key, row, ours, theirs)
        assert answer.status_code not in (401, 403, 500)
        assert not [known for known in ours.told if known in answer.text]


@pytest.mark.parametrize("row", WITH_KEY, ids=lambda row: row["route"] + str(row.get("body", row.get("query", ""))))
def test_without_a_key_or_its_scope_nothing_is_answered(site: Site, pair: Pair, row: dict[str, Any]) -> None:
    ours, theirs = pair.companies()
    assert ask(site, None, row, ours, theirs).status_code == 401
    assert ask(site, "opc-made-up", row, ours, theirs).status_code == 401
    _, narrow = site.key(tenant=ours.id, member=ours.owner, scopes=("inference",))
    answer = ask(site, narrow, row, ours, theirs)
    assert answer.status_code == (row["owner"] if row.get("scope") == "none" else DENIED)


@pytest.mark.parametrize("row", [row for row in ROWS if "only" in row], ids=lambda row: row["route"])
def test_routes_of_other_parts_are_for_their_roles_only(site: Site, pair: Pair, row: dict[str, Any]) -> None:
    ours, theirs = pair.companies()
    for role in {"caller", "author", "reviewer"} - set(row["only"]):
        _, key = site.people(ours, role)
        assert ask(site, key, row, ours, theirs).status_code == DENIED, role


def ask(site: Site, key: str | None, row: dict[str, Any], ours: Company, theirs: Company) -> Any:
    names = {
        "organisation": ours.id,
        "foreign": theirs.id,
        "member": ours.member,
        "key": ours.key,
        "operators_key": site.operators_key,
        "nonce": str(next(NUMBERS)),
        "name": "nobody",
        "record_id": "req_nobody",
        "number": "none",
    }
    method, path = row["route"].split(" ")
    fields: dict[str, Any] = {}
    if "body" in row:
        fields["json"] = filled(row["body"], names)
    if "query" in row:
        fields["params"] = filled(row["query"], names)
    return site.api(key, method, filled(path, names), **fields)


def filled(value: Any, names: dict[str, str]) -> Any:
    """A row's value with the ids of this run."""
    if isinstance(value, dict):
        return {name: filled(one, names) for name, one in value.items()}
    if not isinstance(value, str):
        return value
    for name, one in names.items():
        value = value.replace("{" + name + "}", one)
    return value

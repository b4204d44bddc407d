"""Scopes, models, addresses, rotation, suspension and streams, as callers meet them over HTTP."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from gateway.request import SURFACES
from gateway.store import RequestRecord
from gateway.surfaces import moderations
from gateway.tenants.scopes import SCOPES
from loadtests.fake_engine import Script
from tests.gateway.tenants.conftest import Company, Site


@pytest.fixture(scope="module")
def site(open_site: Callable[..., Any]) -> Iterator[Site]:
    """One with a single operator: other modules leave more of them behind."""
    with open_site() as opened:
        yield opened


def error_of(answer: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    return error


def test_every_endpoint_that_answers_has_a_scope() -> None:
    assert {one.endpoint for one in SURFACES} | {moderations.ENDPOINT} <= set(SCOPES)


@pytest.mark.parametrize("scopes", [("inference",), ("moderations",), ("control",), None], ids=str)
def test_a_key_is_good_for_its_scopes_only(site: Site, scopes: tuple[str, ...] | None) -> None:
    _, key = site.key(scopes=scopes)
    answers = {
        "inference": [site.chat(key), site.call(key, "GET", "/v1/models")],
        "moderations": [site.call(key, "POST", "/v1/moderations", json={"input": "你好"})],
        "control": [site.api(key, "GET", "/organisations")],
    }
    for scope, given in answers.items():
        for answer in given:
            if scopes is None or scope in scopes:
                assert answer.status_code == 200, answer.text
            else:
                assert answer.status_code == 403
                assert (error_of(answer)["code"], error_of(answer)["param"]) == ("permission_denied", "scopes")
                assert f"'{scope}'" in error_of(answer)["message"]


def test_a_refused_scope_is_recorded_with_its_key(site: Site) -> None:
    key_id, key = site.key(scopes=("files",))
    answer = site.chat(key)
    query = select(RequestRecord.key_id, RequestRecord.outcome, RequestRecord.error_code)
    (row,) = site.change(
        lambda connection: rows(connection, query.where(RequestRecord.id == answer.headers["x-request-id"]))
    )
    assert tuple(row) == (key_id, "rejected", "permission_denied")


async def rows(connection: Any, query: Any) -> list[Any]:
    return list((await connection.execute(query)).all())


def test_models_that_a_key_may_not_call_are_as_if_they_did_not_exist(site: Site) -> None:
    _, key = site.key(models=("opc-starter",))
    listed = site.call(key, "GET", "/v1/models").json()["data"]
    assert [one["id"] for one in listed] == ["opc-starter"]
    everything = site.call(site.key()[1], "GET", "/v1/models").json()["data"]
    assert [one["id"] for one in everything] == ["opc-starter", "opc-other"]
    assert site.chat(key).status_code == 200
    for ask in (site.chat, lambda key, model: site.call(key, "GET", f"/v1/models/{model}")):
        hidden, missing = ask(key, "opc-other"), ask(key, "opc-nosuch")
        assert hidden.status_code == missing.status_code == 404
        assert hidden.text.replace("opc-other", "opc-nosuch") == missing.text


def test_a_forwarded_address_is_not_believed_of_strangers(site: Site) -> None:
    _, key = site.key(addresses=("203.0.113.0/24",))
    for answer in (
        site.chat(key, headers={"x-forwarded-for": "203.0.113.5"}),
        site.api(key, "GET", "/me", headers={"x-forwarded-for": "203.0.113.5"}),
    ):
        assert answer.status_code == 401
        assert error_of(answer) == error_of(site.chat("opc-made-up"))
    assert site.chat(site.key(addresses=("127.0.0.1",))[1]).status_code == 200


def test_rotation_through_the_api(site: Site) -> None:
    company = site.company()
    made = site.api(company.owners_key, "POST", "/keys", json={"name": "shop", "member": company.member}).json()
    old, key_id = made["secret"], made["key"]["id"]
    assert site.chat(old).status_code == 200
    assert "secret" not in site.api(company.owners_key, "GET", f"/keys/{key_id}").text.replace("api_key.secret", "")
    new = site.api(company.owners_key, "POST", f"/keys/{key_id}/rotate", json={"overlap_hours": 1}).json()
    assert new["key"]["id"] == key_id
    assert new["key"]["previous_until"] is not None
    assert [site.chat(one).status_code for one in (old, new["secret"])] == [200, 200]
    query = select(RequestRecord.key_version).where(RequestRecord.key_id == key_id).order_by(RequestRecord.started_at)
    assert [one for (one,) in site.change(lambda connection: rows(connection, query))] == [1, 1, 2]
    site.api(company.owners_key, "POST", f"/keys/{key_id}/rotate", json={"overlap_hours": 0})
    assert [site.chat(one).status_code for one in (old, new["secret"])] == [401, 401]
    acts = site.api(company.owners_key, "GET", "/acts").json()["data"]
    assert [one["action"] for one in acts if one["subject"] == key_id] == ["keys.create", "keys.rotate", "keys.rotate"]


def test_a_suspended_organisation_is_told_so_and_restored(site: Site) -> None:
    company = site.company()
    assert site.chat(company.members_key).status_code == 200
    path = f"/organisations/{company.id}"
    assert site.api(site.operator, "POST", f"{path}/suspend").json()["status"] == "suspended"
    refused = site.chat(company.members_key)
    assert (refused.status_code, error_of(refused)["code"]) == (403, "key_suspended")
    assert "organisation" in error_of(refused)["message"]
    assert site.api(site.operator, "POST", f"{path}/restore").json()["status"] == "active"
    assert site.chat(company.members_key).status_code == 200
    own = site.api(site.operator, "POST", "/organisations/default/close")
    assert own.status_code == 400, "operators don't lock themselves out"


BAD_BODIES: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "/organisations", {"id": "Bad Id", "name": "x"}, "body.id"),
    ("POST", "/organisations", {"id": "x-1", "name": "x", "credit_code": "91350100M000100Y44"}, "credit_code"),
    ("POST", "/organisations", {"id": "x-2", "name": "x", "sector": "piracy"}, "sector"),
    ("POST", "/organisations", {"id": "x-3", "name": "x", "policy": "nosuch"}, "policy"),
    ("POST", "/organisations", {"id": "x-4", "name": "x", "colour": "red"}, "body.colour"),
    ("POST", "/organisations", {"id": "default", "name": "x"}, "id"),
    ("PATCH", "/organisations/default", {}, "body"),
    ("PATCH", "/organisations/default", {"name": None}, "name"),
    ("POST", "/organisations/default/members", {"name": "x", "email": "nobody"}, "body.email"),
    ("POST", "/keys", {"name": "x", "addresses": ["10.0.0.1/8"]}, "addresses[0]"),
    ("POST", "/keys", {"name": "x", "scopes": ["everything"]}, "body.scopes.0"),
    ("POST", "/keys", {"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
    ("POST", "/keys", {"name": "x", "role": "operator"}, "role"),
    ("POST", "/keys", {"name": "x", "member": "mem_none"}, "member"),
    ("POST", "/keys", {"name": "x", "organisation": "nosuch"}, "organisation"),
]


@pytest.mark.parametrize(("method", "path", "body", "field"), BAD_BODIES, ids=str)
def test_a_wrong_field_is_named(site: Site, method: str, path: str, body: dict[str, Any], field: str) -> None:
    answer = site.api(site.operator, method, path, json=body)
    assert answer.status_code == 400, answer.text
    assert error_of(answer)["param"] == field


def test_a_credit_code_is_checked_kept_in_its_written_form_and_one_organisations_only(site: Site) -> None:
    ours, theirs = site.company(), site.company()
    code = "91350100m000100y43"
    made = site.api(site.operator, "PATCH", f"/organisations/{ours.id}", json={"credit_code": code})
    assert made.json()["credit_code"] == code.upper()
    again = site.api(site.operator, "PATCH", f"/organisations/{theirs.id}", json={"credit_code": code})
    assert (again.status_code, error_of(again)["param"]) == (400, "credit_code")


def test_addresses_of_others_are_masked_and_the_last_operator_stays(site: Site) -> None:
    company = site.company()
    path = f"/organisations/{company.id}/members"

    def emails(key: str) -> list[str]:
        return [one["email"] for one in site.api(key, "GET", path).json()["data"]]

    owner, member = f"owner@{company.id}.example", f"member@{company.id}.example"
    assert emails(site.operator) == emails(company.owners_key) == [owner, member]
    assert emails(company.members_key) == [f"o***@{company.id}.example", member], "one's own is not"
    me = site.api(site.operator, "GET", "/me").json()
    demoted = site.api(
        site.operator, "PATCH", f"/organisations/default/members/{me['member']}", json={"role": "caller"}
    )
    assert demoted.status_code == 400


def test_an_owner_of_the_operators_organisation_does_not_reach_them(site: Site) -> None:
    here = Company("default", "", "", "", "", "", ())
    _, owners_key = site.people(here, "caller")
    me = site.api(site.operator, "GET", "/me").json()
    member = f"/organisations/default/members/{me['member']}"
    assert site.api(owners_key, "PATCH", member, json={"name": "x"}).status_code == 403
    assert site.api(owners_key, "DELETE", member).status_code == 403
    assert site.api(owners_key, "POST", "/keys", json={"name": "x", "member": me["member"]}).status_code == 403
    for act in ("rotate", "revoke"):
        assert site.api(owners_key, "POST", f"/keys/{me['key']}/{act}", json={}).status_code == 403


def test_lists_come_in_pages(site: Site) -> None:
    company = site.company()
    for number in range(5):
        site.people(company, "caller" if number % 2 else "author")
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = site.api(company.owners_key, "GET", "/keys", params={"limit": 3, **after}).json()
        seen += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": seen[-1]}
    whole = site.api(company.owners_key, "GET", "/keys").json()["data"]
    assert seen == [one["id"] for one in whole]
    assert len(set(seen)) == 8
    assert site.api(company.owners_key, "GET", "/keys", params={"after": "key_none"}).status_code == 404


def test_a_body_that_is_no_text_is_the_callers_fault_and_a_405_says_what_may_be_done(site: Site) -> None:
    headers = {"content-type": "application/json"}
    answer = site.api(site.operator, "POST", "/keys", content=b"\xee)", headers=headers)
    assert (answer.status_code, error_of(answer)["param"]) == (400, "body")
    answer = site.api(site.operator, "PUT", "/keys")
    assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (405, {"GET"})


@pytest.fixture
def slow_stream(site: Site) -> Iterator[Callable[..., Any]]:
    """A stream of some seconds: `slow_stream(site, key, act)` acts after the first event and returns all events."""

    def stream(at: Site, key: str, act: Callable[[], Any]) -> list[str]:
        at.engine.script = Script(deltas=[{"content": f"第{number}句。"} for number in range(12)], pause_seconds=0.1)
        body = {"model": "opc-starter", "messages": [{"role": "user", "content": "写"}], "stream": True}
        lines: list[str] = []
        headers = {"authorization": f"Bearer {key}"}
        with at.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
            assert answer.status_code == 200
            for line in answer.iter_lines():
                if line and not lines:
                    act()
                if line:
                    lines.append(line)
        return lines

    yield stream
    site.engine.script = Script()


def text_of(lines: list[str]) -> str:
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line != "data: [DONE]"]
    choices = [choice for one in events for choice in one.get("choices", ())]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def test_a_stream_that_was_begun_goes_on_when_its_key_is_revoked(site: Site, slow_stream: Callable[..., Any]) -> None:
    key_id, key = site.key()
    lines = slow_stream(site, key, lambda: site.api(site.operator, "POST", f"/keys/{key_id}/revoke"))
    assert lines[-1] == "data: [DONE]"
    assert text_of(lines).endswith("第11句。")
    assert site.chat(key).status_code == 401


ENDINGS = ["revoke", "suspend", "expire", "organisation"]


@pytest.mark.parametrize("how", ENDINGS)
def test_a_stream_is_cut_when_its_key_ends_where_the_settings_say_so(
    cutting: Site, slow_stream: Callable[..., Any], how: str
) -> None:
    company = cutting.company()
    made = cutting.api(company.owners_key, "POST", "/keys", json={"name": "k"}).json()
    key_id, key = made["key"]["id"], made["secret"]

    def end() -> None:
        if how == "organisation":
            answer = cutting.api(cutting.operator, "POST", f"/organisations/{company.id}/suspend")
        elif how == "expire":
            soon = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()
            answer = cutting.api(cutting.operator, "PATCH", f"/keys/{key_id}", json={"expires_at": soon})
        else:
            answer = cutting.api(
                cutting.operator, "POST", f"/keys/{key_id}/{how}", json={} if how == "suspend" else None
            )
        assert answer.status_code == 200, answer.text

    lines = slow_stream(cutting, key, end)
    error = json.loads(lines[-1].removeprefix("data: "))["error"]
    assert error["code"] == ("invalid_api_key" if how in ("revoke", "expire") else "key_suspended")
    assert not text_of(lines[:-1]).endswith("第11句。")
    deadline = time.monotonic() + 5
    while cutting.engine.seen.open and time.monotonic() < deadline:
        time.sleep(0.02)
    assert cutting.engine.seen.open == 0, "the node was told to stop"
    query = select(RequestRecord.outcome, RequestRecord.error_code).where(RequestRecord.key_id == key_id)
    (row,) = cutting.change(lambda connection: rows(connection, query))
    assert tuple(row) == ("rejected", error["code"])


@pytest.fixture(scope="module")
def cutting(open_site: Callable[..., Any]) -> Iterator[Site]:
    """A gateway that cuts streams, behind a proxy on this machine."""
    with open_site(tenants={"cut_streams_on_revoke": True, "trusted_proxies": ["127.0.0.0/8"]}) as opened:
        yield opened


def test_behind_a_trusted_proxy_the_forwarded_address_counts(cutting: Site) -> None:
    _, key = cutting.key(addresses=("203.0.113.0/24",))
    for forwarded, status in (("203.0.113.5", 200), ("203.0.113.5, 198.51.100.1", 401), ("198.51.100.1", 401)):
        assert cutting.chat(key, headers={"x-forwarded-for": forwarded}).status_code == status, forwarded
        assert cutting.api(key, "GET", "/me", headers={"x-forwarded-for": forwarded}).status_code == status
    assert cutting.chat(key).status_code == 401


def test_an_organisations_policy_goes_before_the_settings(open_site: Callable[..., Any], site: Site) -> None:
    company = site.company()
    path = f"/organisations/{company.id}"
    query = select(RequestRecord.policy).where(RequestRecord.tenant == company.id).order_by(RequestRecord.started_at)
    site.chat(company.members_key)
    assert site.api(site.operator, "PATCH", path, json={"policy": "review"}).status_code == 200
    site.chat(company.members_key)
    before, after = site.change(lambda connection: rows(connection, query))
    assert "review" not in (before[0] or "")
    assert "review" in after[0]

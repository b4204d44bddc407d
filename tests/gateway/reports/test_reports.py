"""A report from the public's first request to the decision, through the front door."""

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from gateway.reports.cli import reports
from tests.gateway.audit.site import AuditSite, audit_site

TEXT = "这段话教人购买冰毒"
CONTACT = "13800138000"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditSite]:
    folder = tmp_path_factory.mktemp("reports-site")
    with audit_site(folder, reports={"per_address_per_hour": 1000}) as site:
        yield site


def send(site: AuditSite, **fields: Any) -> httpx.Response:
    return site.post("/reports", {"reason": "illegal"} | fields, key=None)


def stand(site: AuditSite, receipt: dict, secret: str | None = None) -> httpx.Response:
    headers = {"x-report-secret": receipt["secret"] if secret is None else secret}
    return httpx.get(f"{site.url}/api/v1/reports/{receipt['number']}", headers=headers)


def database(site: AuditSite) -> sqlite3.Connection:
    return sqlite3.connect(site.config.parent / "opcgate.db")


def test_anybody_can_report_a_text_and_look_up_how_it_stands(site: AuditSite) -> None:
    answer = send(site, text=TEXT, contact=CONTACT, detail="在公众号上看到")
    assert answer.status_code == 201
    receipt = answer.json()
    assert "编号" in receipt["message"]
    assert receipt["due_at"] > receipt["received_at"]
    now = stand(site, receipt).json()
    assert (now["state"], now["overdue"], now["decision"]) == ("received", False, None)
    assert set(now) == {
        "object", "number", "state", "received_at", "due_at", "overdue", "decision", "decided_at", "answer",
    }  # fmt: skip


def test_without_the_secret_there_is_no_such_report(site: AuditSite) -> None:
    receipt = send(site, text=TEXT).json()
    wrong = stand(site, receipt, "x" * 32)
    none = stand(site, receipt | {"number": "RPT-20260101-AAAAAAAAAA"})
    assert wrong.status_code == none.status_code == 404
    assert wrong.json() == none.json()
    assert stand(site, receipt, "").status_code == 404


def test_numbers_that_are_none_are_unknown(site: AuditSite) -> None:
    assert site.get("/report-cases/%00", key="reviewer").status_code == 400
    assert httpx.get(f"{site.url}/api/v1/reports/%00").status_code == 404
    for number in ("none", "RPT-20260101-AAAAAAAAA", "x" * 500):
        assert httpx.get(f"{site.url}/api/v1/reports/{number}").status_code == 404
        assert site.get(f"/report-cases/{number}", key="reviewer").status_code == 404


def test_what_is_reported_is_stored_encrypted_and_in_no_log_or_act(site: AuditSite) -> None:
    receipt = send(site, text=TEXT, contact=CONTACT).json()
    with database(site) as connection:
        dump = "\n".join(connection.iterdump())
    assert TEXT not in dump
    assert json.dumps(TEXT) not in dump
    assert CONTACT not in dump
    assert receipt["secret"] not in dump
    assert "127.0.0.1" not in "".join(line for line in dump.split("\n") if "reports" in line)


def test_a_content_of_ours_is_linked_for_reviewers_and_not_for_the_reporter(site: AuditSite) -> None:
    ours = site.ask("你好").headers["x-request-id"]
    known = send(site, content_id=ours.removeprefix("req_")).json()
    strange = send(site, content_id="0" * 32).json()
    assert set(known) == set(strange), "the answer doesn't tell whether the content is ours"
    assert set(stand(site, known).json()) == set(stand(site, strange).json())
    case = site.get(f"/report-cases/{known['number']}", key="reviewer").json()
    assert (case["request_id"], case["tenant"]) == (ours, "org-a")
    assert site.get(f"/report-cases/{strange['number']}", key="reviewer").json()["request_id"] is None
    by_request = send(site, request_id=ours).json()
    assert site.get(f"/report-cases/{by_request['number']}", key="reviewer").json()["request_id"] == ours


def test_the_reported_text_is_scanned_for_the_queue(site: AuditSite) -> None:
    receipt = send(site, text=TEXT).json()
    case = site.get(f"/report-cases/{receipt['number']}", key="reviewer").json()
    assert {"risk": "other_illegal", "severity": "high", "type": "keyword"} in case["findings"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"text": ""}, 400),
        ({"text": TEXT, "reason": "boredom"}, 400),
        ({"text": TEXT, "language": "fr"}, 400),
        ({"text": TEXT, "extra": 1}, 400),
        ({"text": "x" * 4001}, 400),
        ({"request_id": "req_1"}, 400),
        ({"text": TEXT, "contact": "x" * 201}, 400),
        ({"text": "x" * 40_000}, 413),
    ],
)
def test_a_bad_report_is_refused_by_its_field(site: AuditSite, body: dict, status: int) -> None:
    answer = send(site, **body)
    assert answer.status_code == status
    assert TEXT not in answer.text


def test_the_process_and_its_time_limits_are_published(site: AuditSite) -> None:
    guide = httpx.get(f"{site.url}/api/v1/reports/guide").json()
    assert {"id": "illegal", "zh": "违法违规内容", "en": "illegal content"} in guide["reasons"]
    assert "24" in guide["process_zh"]
    assert "24" in guide["process_en"]


def test_only_reviewers_and_operators_see_the_queue(site: AuditSite) -> None:
    number = send(site, text=TEXT).json()["number"]
    for path in ("/report-cases", f"/report-cases/{number}"):
        assert site.get(path, key="owner").status_code == 403
        assert site.get(path, key="reviewer").status_code == 200
    assert (
        site.post(f"/report-cases/{number}/decide", {"decision": "rejected", "why": "x"}, key="caller").status_code
        == 403
    )


def test_a_report_is_assigned_read_decided_and_answered(site: AuditSite) -> None:
    name = site.ask("你好", key="other").headers["x-request-id"]
    receipt = send(site, request_id=name, detail="不当内容", language="en").json()
    path = f"/report-cases/{receipt['number']}"
    assigned = site.post(f"{path}/assign", {}, key="reviewer").json()
    assert assigned["state"] == "assigned"
    assert assigned["assigned_to"].startswith("key_")
    read = site.post(f"{path}/text", {"reason": "to decide"}, key="reviewer").json()
    assert read == {"detail": "不当内容"}
    verdict = {"decision": "upheld", "why": "clear case", "suspend_key": {"hours": 24}}
    decided = site.post(f"{path}/decide", verdict, key="reviewer").json()
    assert decided["consequences"][0]["action"] == "suspend_key"
    now = stand(site, receipt).json()
    assert now["decision"] == "upheld"
    assert now["answer"].startswith("We checked"), "in the reporter's language"
    assert site.ask("你好", key="other").status_code == 403
    again = site.post(f"{path}/decide", {"decision": "rejected", "why": "x"}, key="reviewer")
    assert again.status_code == 400
    assert site.post(f"{path}/assign", {}, key="reviewer").status_code == 400
    with database(site) as connection:
        acts = connection.execute("SELECT action FROM acts WHERE subject = ? ORDER BY at", (receipt["number"],))
        assert [action for (action,) in acts] == [
            "reports.create", "reports.assign", "reports.text.read", "reports.decide",
        ]  # fmt: skip


@pytest.mark.parametrize(
    "verdict",
    [
        {"decision": "duplicate", "why": "x"},
        {"decision": "rejected", "why": "x", "duplicate_of": "RPT-20260101-AAAAAAAAAA"},
        {"decision": "rejected", "why": "x", "suspend_key": {}},
        {"decision": "upheld", "why": "x", "suspend_key": {}},
        {"decision": "upheld", "why": ""},
        {"decision": "maybe", "why": "x"},
        {"decision": "rejected", "why": "a\0b"},
    ],
)
def test_a_verdict_that_does_not_fit_changes_nothing(site: AuditSite, verdict: dict) -> None:
    number = send(site, text=TEXT).json()["number"]
    answer = site.post(f"/report-cases/{number}/decide", verdict, key="reviewer")
    assert answer.status_code == 400, answer.text
    assert site.get(f"/report-cases/{number}", key="reviewer").json()["state"] == "received"


def test_a_duplicate_names_the_first_report(site: AuditSite) -> None:
    first = send(site, text=TEXT).json()["number"]
    second = send(site, text=TEXT).json()
    path = f"/report-cases/{second['number']}/decide"
    missing = {"decision": "duplicate", "why": "x", "duplicate_of": "RPT-20260101-AAAAAAAAAA"}
    assert site.post(path, missing, key="reviewer").status_code == 404
    itself = {"decision": "duplicate", "why": "x", "duplicate_of": second["number"]}
    assert site.post(path, itself, key="reviewer").status_code == 400
    assert site.post(path, itself | {"duplicate_of": first}, key="reviewer").status_code == 200
    assert "合并" in stand(site, second).json()["answer"]


def test_of_two_decisions_at_once_one_holds(site: AuditSite) -> None:
    number = send(site, text=TEXT).json()["number"]
    verdicts = [{"decision": "upheld", "why": "a"}, {"decision": "rejected", "why": "b"}] * 3
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(lambda one: site.post(f"/report-cases/{number}/decide", one, key="reviewer").status_code, verdicts)
        )
    assert sorted(answers) == [200, 400, 400, 400, 400, 400]


def test_the_queue_is_ordered_by_deadline_and_overdue_ones_are_flagged(site: AuditSite) -> None:
    number = send(site, text=TEXT).json()["number"]
    with database(site) as connection:
        connection.execute("UPDATE reports SET due_at = '2026-01-05 10:00:00.000000' WHERE number = ?", (number,))
    late = site.get("/report-cases", key="reviewer", overdue="true", limit=1000).json()["data"]
    assert [one["number"] for one in late] == [number]
    page = site.get("/report-cases", key="reviewer", limit=2).json()
    assert page["data"][0]["number"] == number
    assert page["data"][0]["overdue"]
    assert page["has_more"]
    following = site.get("/report-cases", key="reviewer", limit=2, after=page["data"][-1]["number"]).json()
    assert page["data"][-1]["due_at"] <= following["data"][0]["due_at"]
    in_time = site.get("/report-cases", key="reviewer", overdue="false", limit=1000).json()["data"]
    assert number not in [one["number"] for one in in_time]


def command(site: AuditSite, *arguments: str) -> Result:
    return CliRunner().invoke(reports, [*arguments, "--config", str(site.config)])


def test_the_command_line_works_through_the_queue(site: AuditSite) -> None:
    number = send(site, text=TEXT).json()["number"]
    assert number in command(site, "list", "--state", "received", "--json").stdout
    assert command(site, "list").exit_code == 0
    assert TEXT not in command(site, "show", number).stdout
    assert command(site, "show", number, "--text").exit_code == 2, "not without a reason"
    assert TEXT in command(site, "show", number, "--text", "--reason", "to decide").stdout
    assert command(site, "assign", number, "--to", "王五").exit_code == 0
    assert command(site, "decide", number, "rejected", "--why", "nothing wrong").exit_code == 0
    again = command(site, "decide", number, "upheld", "--why", "x")
    assert again.exit_code == 2
    assert "不可更改" in again.stderr
    assert command(site, "show", "RPT-20260101-AAAAAAAAAA").exit_code == 2

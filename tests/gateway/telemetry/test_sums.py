"""Daily sums: exact under concurrent workers, by the right day, on both databases; and what the API makes of them."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.schema import DatabaseSettings
from gateway.group_commit import group_writer
from gateway.record import RequestEntry, Settlement
from gateway.recorder import Recorder
from gateway.store import RequestRecord
from gateway.telemetry.statistics_tables import FindingSum, RequestSum
from gateway.telemetry.sums import DailySums
from tests.gateway.tenants.conftest import Site

EVENING = datetime(2026, 11, 24, 16, 30, tzinfo=UTC).timestamp()
"""Already the 25th in China."""


def settled(number: str, tenant: str = "opc", **fields: Any) -> Settlement:
    entry = RequestEntry(id=f"req_{number}", endpoint="chat.completions", started_at=EVENING, rules_version="r")
    entry.tenant, entry.model, entry.outcome = tenant, "m", "completed"
    for name, one in fields.items():
        setattr(entry, name, one)
    return Settlement(entry.row(EVENING + 1))


def finding(risk: str, where: str = "messages.0.content", action: str = "block") -> dict[str, Any]:
    return {"where": where, "risk": risk, "action": action}


@pytest.fixture
async def fresh(database: AsyncEngine) -> AsyncEngine:
    async with database.begin() as connection:
        for table in (RequestSum, FindingSum, RequestRecord):
            await connection.execute(delete(table))
    return database


async def rows(database: AsyncEngine, table: Any) -> list[tuple[Any, ...]]:
    async with database.connect() as connection:
        return [tuple(row) for row in await connection.execute(select(*table.__table__.columns))]


async def test_workers_add_up_to_the_same_sums(fresh: AsyncEngine) -> None:
    settings = DatabaseSettings(url=fresh.url.render_as_string(hide_password=False))

    async def worker(name: str) -> None:
        with group_writer(settings, fresh, [DailySums(8)]) as write:
            recorder = Recorder(write)
            recorder.start()
            await asyncio.gather(
                *(
                    recorder.submit(settled(f"{name}{one}", f"opc{one % 3}", prompt_tokens=10, completion_tokens=one))
                    for one in range(60)
                )
            )
            await recorder.close()

    await asyncio.gather(*(worker(name) for name in "abc"))
    sums = sorted(await rows(fresh, RequestSum))
    assert [(one[0], one[1], one[5], one[6]) for one in sums] == [
        ("2026-11-25", f"opc{tenant}", 60, 600) for tenant in range(3)
    ]
    assert sum(one[7] for one in sums) == 3 * sum(range(60))


async def test_findings_are_counted_by_risk_direction_and_action(fresh: AsyncEngine) -> None:
    settings = DatabaseSettings(url=fresh.url.render_as_string(hide_password=False))
    found = [finding("drugs"), finding("drugs"), finding("privacy", "choices.0.message.content", "mask")]
    with group_writer(settings, fresh, [DailySums(8)]) as write:
        await write([settled("1", findings=found), settled("2", findings=[finding("drugs")])])
    assert sorted(await rows(fresh, FindingSum)) == [
        ("2026-11-25", "opc", "drugs", "prompt", "block", 3, 2),
        ("2026-11-25", "opc", "privacy", "output", "mask", 1, 1),
    ]


async def test_a_group_that_is_rolled_back_adds_nothing(fresh: AsyncEngine) -> None:
    settings = DatabaseSettings(url=fresh.url.render_as_string(hide_password=False))
    with group_writer(settings, fresh, [DailySums(8)]) as write:
        await write([settled("1")])
        with pytest.raises(Exception, match=r"UNIQUE|unique"):
            await write([settled("2"), settled("1")])
    assert [one[5] for one in await rows(fresh, RequestSum)] == [1]


def test_operators_and_reviewers_see_every_organisation(site: Site) -> None:
    ours, theirs = site.company(), site.company()
    for company, asked in ((ours, 2), (theirs, 1)):
        _, key = site.key(tenant=company.id)
        for _ in range(asked):
            assert site.chat(key).status_code == 200
    listed = site.api(site.operator, "GET", "/statistics/requests", params={"by": ["tenant", "outcome"]}).json()
    counted = {(one["tenant"], one["outcome"]): one["requests"] for one in listed["data"]}
    assert counted[ours.id, "completed"] == 2
    assert counted[theirs.id, "completed"] == 1
    assert "sector" in site.api(site.operator, "GET", "/statistics/requests", params={"by": "sector"}).json()["data"][0]
    _, reviewer = site.people(ours, "reviewer")
    seen = site.api(reviewer, "GET", "/statistics/requests", params={"by": "tenant"}).json()["data"]
    assert {one["tenant"] for one in seen} >= {ours.id, theirs.id}
    table = site.api(site.operator, "GET", "/statistics/risks", params={"by": ["day", "risk"], "format": "csv"})
    assert table.headers["content-type"].startswith("text/csv")
    assert table.text.splitlines()[0] == "day,risk,findings,requests"
    wrong = site.api(site.operator, "GET", "/statistics/requests", params={"first_day": "2027-01-01"})
    assert wrong.json()["error"]["param"] == "first_day"

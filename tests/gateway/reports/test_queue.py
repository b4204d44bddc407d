"""Reports on both databases: taken in, decided, and deleted with their texts when their time is over."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.pipeline import Pipeline
from configs.sections.audit import AuditSettings
from configs.sections.reports import ReportSettings
from gateway.audit.source import DatabaseSource
from gateway.audit.tables import TextRow
from gateway.audit.text_keys import load_text_keys
from gateway.audit.verify import Verification
from gateway.errors import InvalidRequest
from gateway.reports.intake import Intake, TooManyReports
from gateway.reports.queue import assign, decide, read_report_texts, retain_reports
from gateway.reports.shapes import NewReport, Verdict
from gateway.reports.tables import ReportRow
from tests.gateway.audit.conftest import TABLES

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


@pytest.fixture
async def intake(database: AsyncEngine, shipped: Pipeline, tmp_path: Path) -> Intake:
    async with database.begin() as connection:
        for table in (*TABLES, "reports"):
            await connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names from the code
    keys = load_text_keys(AuditSettings(text_key_file=tmp_path / "keys"))
    return Intake(database, ReportSettings(), keys, shipped)


async def test_reports_are_taken_decided_and_deleted_after_their_retention(intake: Intake) -> None:
    report = NewReport(text="不当内容", reason="illegal", contact="someone")
    numbers = [(await intake.take(report, f"192.0.2.{n}", NOW.timestamp() + n)).number for n in range(5)]
    assert (await read_report_texts(intake.engine, intake.keys, numbers[0], "key_r", "x"))["text"] == "不当内容"
    await assign(intake.engine, numbers[0], "key_r", "key_r")
    for position, number in enumerate(numbers[:4]):
        when = NOW + timedelta(days=position)
        await decide(intake.engine, number, Verdict(decision="rejected", why="x"), "key_r", when)
    after = (NOW + timedelta(days=182)).timestamp()
    assert await retain_reports(intake.engine, intake.settings, "worker:x", after) == 2
    async with intake.engine.connect() as connection:
        left = set((await connection.execute(select(ReportRow.number))).scalars())
        owners = set((await connection.execute(select(TextRow.owner))).scalars())
        assert left == owners == set(numbers[2:])
        assert [one async for one in Verification(DatabaseSource(connection)).problems()] == []


async def test_reports_at_once_are_all_taken_and_the_chain_holds(intake: Intake) -> None:
    report = NewReport(text="x", reason="other")
    receipts = await asyncio.gather(*(intake.take(report, f"192.0.2.{n}", NOW.timestamp()) for n in range(20)))
    assert len({one.number for one in receipts}) == 20
    async with intake.engine.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(ReportRow))).scalar_one() == 20
        assert [one async for one in Verification(DatabaseSource(connection)).problems()] == []


async def test_of_two_decisions_at_once_one_holds(intake: Intake) -> None:
    number = (await intake.take(NewReport(text="x", reason="other"), None, NOW.timestamp())).number
    verdicts = [Verdict(decision="rejected", why=str(n)) for n in range(6)]
    done = await asyncio.gather(
        *(decide(intake.engine, number, one, "key_r", NOW) for one in verdicts), return_exceptions=True
    )
    assert [type(one) for one in done].count(InvalidRequest) == 5


async def test_reports_per_address_and_hour_are_limited(intake: Intake) -> None:
    limited = replace(intake, settings=ReportSettings(per_address_per_hour=2, per_hour=5))
    report = NewReport(text="x", reason="other")

    async def taken(address: str | None, after_seconds: float = 0) -> bool:
        try:
            await limited.take(report, address, NOW.timestamp() + after_seconds)
        except TooManyReports:
            return False
        return True

    assert [await taken("203.0.113.7") for _ in range(3)] == [True, True, False]
    networks = ["2001:db8::1", "2001:db8::ffff", "2001:db8::2"]
    assert [await taken(one) for one in networks] == [True, True, False], "one network of 64 bits"
    assert await taken(None)
    assert not await taken("203.0.113.9"), "too many from everybody"
    assert await taken("203.0.113.7", after_seconds=3601)

"""Deadlines in working time: tests/cases/report_deadlines.jsonl."""

from datetime import date, datetime

import pytest

from configs.sections.reports import ReportSettings
from gateway.reports.deadline import due_at
from tests.conftest import read_cases


@pytest.mark.parametrize("case", read_cases("report_deadlines.jsonl"), ids=lambda case: case["why"])
def test_a_report_is_due_after_so_many_working_hours(case: dict) -> None:
    settings = ReportSettings(
        decide_working_hours=case["hours"],
        holidays=tuple(date(2026, 10, day) for day in range(1, 8)),
        extra_working_days=(date(2026, 10, 10),),
    )
    assert due_at(datetime.fromisoformat(case["received"]), settings) == datetime.fromisoformat(case["due"])

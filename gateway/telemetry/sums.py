"""Adds each group of settled requests to the sums of its day, in the group's own transaction: no request is missed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import Connection

from gateway.record import Settlement, direction_and_action
from gateway.row_insert import RowInsert
from gateway.store import Base
from gateway.telemetry.statistics_tables import FindingSum, RequestSum

Sums = dict[tuple[str, ...], list[int]]


class DailySums:
    """A part of the group commit."""

    def __init__(self, utc_offset_hours: int) -> None:
        self._zone = timezone(timedelta(hours=utc_offset_hours))
        self._requests = RowInsert(RequestSum.__table__, adds=True)
        self._findings = RowInsert(FindingSum.__table__, adds=True)

    def write(self, connection: Connection, group: Sequence[Settlement]) -> None:
        """Add the group. Everyone changes rows in the same order, so that no two workers wait for each other."""
        requests: Sums = defaultdict(lambda: [0, 0, 0, 0])
        findings: Sums = defaultdict(lambda: [0, 0])
        for one in group:
            self._add(one.row, requests, findings)
        self._requests.run(connection, _rows(RequestSum, requests))
        if findings:
            self._findings.run(connection, _rows(FindingSum, findings))

    def _add(self, row: Mapping[str, Any], requests: Sums, findings: Sums) -> None:
        started: datetime = row["started_at"]
        day, tenant = started.astimezone(self._zone).date().isoformat(), row["tenant"] or ""
        sums = requests[(day, tenant, row["model"] or "", row["endpoint"], row["outcome"])]
        for place, more in enumerate((1, row["prompt_tokens"], row["completion_tokens"], row["cost"])):
            sums[place] += more or 0
        seen = set()
        for finding in row["findings"]:
            key = (day, tenant, finding["risk"], *direction_and_action(row["endpoint"], finding))
            findings[key][0] += 1
            findings[key][1] += key not in seen
            seen.add(key)

    def committed(self) -> None:
        """Nothing to do: nothing is kept here."""

    def rolled_back(self) -> None:
        """Nothing to do: nothing is kept here."""


def _rows(table: type[Base], sums: Sums) -> list[dict[str, str | int]]:
    """The sums as rows, in the order of their keys; a table's keys stand before its numbers."""
    names = table.__table__.columns.keys()
    return [dict(zip(names, (*key, *sums[key]), strict=True)) for key in sorted(sums)]

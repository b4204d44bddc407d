"""Adds each group of settled requests to the sums of its day, in the group's own transaction: no request is missed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from gateway.record import Settlement
from gateway.store import Base
from gateway.surfaces import moderations
from gateway.telemetry.statistics_tables import FindingSum, RequestSum

Sums = dict[tuple[str, ...], list[int]]


class DailySums:
    """A part of the group commit."""

    def __init__(self, utc_offset_hours: int) -> None:
        self._zone = timezone(timedelta(hours=utc_offset_hours))

    def write(self, connection: Connection, group: Sequence[Settlement]) -> None:
        """Add the group. Everyone changes rows in the same order, so that no two workers wait for each other."""
        requests: Sums = defaultdict(lambda: [0, 0, 0, 0])
        findings: Sums = defaultdict(lambda: [0, 0])
        for one in group:
            self._add(one.row, requests, findings)
        _upsert(connection, RequestSum, requests)
        if findings:
            _upsert(connection, FindingSum, findings)

    def _add(self, row: Mapping[str, Any], requests: Sums, findings: Sums) -> None:
        started: datetime = row["started_at"]
        day, tenant = started.astimezone(self._zone).date().isoformat(), row["tenant"] or ""
        sums = requests[(day, tenant, row["model"] or "", row["endpoint"], row["outcome"])]
        for place, more in enumerate((1, row["prompt_tokens"], row["completion_tokens"], row["cost"])):
            sums[place] += more or 0
        seen = set()
        for finding in row["findings"]:
            direction = "output" if finding["where"].startswith("choices.") else "prompt"
            if row["endpoint"] == moderations.ENDPOINT:
                direction = "check"
            action = "dry_run" if finding.get("dry_run") else finding["action"]
            key = (day, tenant, finding["risk"], direction, action)
            findings[key][0] += 1
            findings[key][1] += key not in seen
            seen.add(key)

    def committed(self) -> None:
        """Nothing to do: nothing is kept here."""

    def rolled_back(self) -> None:
        """Nothing to do: nothing is kept here."""


def _upsert(connection: Connection, table: type[Base], sums: Sums) -> None:
    columns = table.__table__.columns
    keys = [one.name for one in columns if one.primary_key]
    values = [one.name for one in columns if not one.primary_key]
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)
    statement = insert.on_conflict_do_update(
        index_elements=keys, set_={name: columns[name] + insert.excluded[name] for name in values}
    )
    rows = [dict(zip((*keys, *values), (*key, *sums[key]), strict=True)) for key in sorted(sums)]
    connection.execute(statement, rows)

"""Adds each group of settled requests to the sums of its day, in the group's own transaction: no request is missed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import Connection, Dialect
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
        self._upserts: dict[type[Base], Upsert] = {}

    def write(self, connection: Connection, group: Sequence[Settlement]) -> None:
        """Add the group. Everyone changes rows in the same order, so that no two workers wait for each other."""
        requests: Sums = defaultdict(lambda: [0, 0, 0, 0])
        findings: Sums = defaultdict(lambda: [0, 0])
        for one in group:
            self._add(one.row, requests, findings)
        if not self._upserts:
            self._upserts = {one: _upsert(connection.dialect, one) for one in (RequestSum, FindingSum)}
        self._upserts[RequestSum].run(connection, requests)
        if findings:
            self._upserts[FindingSum].run(connection, findings)

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


@dataclass(frozen=True, slots=True)
class Upsert:
    """A statement that adds to rows or makes them, in the database's own words: they are found once, not per group."""

    sql: str

    def run(self, connection: Connection, sums: Sums) -> None:
        """Add the sums."""
        connection.exec_driver_sql(self.sql, [(*key, *sums[key]) for key in sorted(sums)])


def _upsert(dialect: Dialect, table: type[Base]) -> Upsert:
    """The statement for a table whose columns are text and whole numbers, in their order."""
    columns = table.__table__.columns
    keys = [one.name for one in columns if one.primary_key]
    values = [one.name for one in columns if not one.primary_key]
    insert: Any = (sqlite if dialect.name == "sqlite" else postgresql).insert(table)
    added = {name: columns[name] + insert.excluded[name] for name in values}
    statement = insert.on_conflict_do_update(index_elements=keys, set_=added)
    compiled = statement.compile(dialect=dialect, column_keys=[*keys, *values])
    if tuple(compiled.positiontup) != (*keys, *values):
        raise RuntimeError(f"{table.__tablename__}: the driver wants its values in another order")
    return Upsert(str(compiled))

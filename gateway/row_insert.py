"""Inserts of the hot path: statement and conversions of values are found once, and rows go to the driver as they are.

SQLAlchemy looks its compiled statement up at every execution, which for one row costs more than the insert itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Dialect, FromClause, Insert, Table, insert
from sqlalchemy.dialects import postgresql, sqlite

Convert = Callable[[Any], Any]


class RowInsert:
    """Inserts rows of one table; every row has the same names."""

    def __init__(self, table: FromClause, *, adds: bool = False) -> None:
        """`table` is a mapped class's `__table__`. With `adds`, a row whose key is there already is added to it."""
        self._table = cast("Table", table)
        self._adds = adds
        self._sql: str | None = None
        self._columns: list[tuple[str, Convert | None]] = []

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert the rows, if there are any."""
        if not rows:
            return
        if self._sql is None:
            self._prepare(connection, list(rows[0]))
        values = [
            tuple(row[name] if convert is None else convert(row[name]) for name, convert in self._columns)
            for row in rows
        ]
        connection.exec_driver_sql(self._sql or "", values)

    def _prepare(self, connection: Connection, names: list[str]) -> None:
        dialect = connection.dialect
        statement = _adding(self._table, dialect) if self._adds else insert(self._table)
        compiled = statement.compile(dialect=dialect, column_keys=names)
        self._columns = [
            (name, self._table.columns[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup or ()
        ]
        self._sql = str(compiled)


def _adding(table: Table, dialect: Dialect) -> Insert:
    """An insert that adds its numbers to those of a row that has its key."""
    new: sqlite.Insert | postgresql.Insert
    new = sqlite.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)
    keys = [one.name for one in table.columns if one.primary_key]
    added = {one.name: one + new.excluded[one.name] for one in table.columns if not one.primary_key}
    return new.on_conflict_do_update(index_elements=keys, set_=added)

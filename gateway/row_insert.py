"""Inserts of the hot path: statement and conversions of values are found once, and rows go to the driver as they are.

SQLAlchemy looks its compiled statement up at every execution, which for one row costs more than the insert itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, FromClause, Table, insert

Convert = Callable[[Any], Any]


class RowInsert:
    """Inserts rows of one table; every row has the same names."""

    def __init__(self, table: FromClause) -> None:
        """`table` is a mapped class's `__table__`."""
        self._table = table
        self._sql: str | None = None
        self._columns: list[tuple[str, Convert | None]] = []

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert the rows, at least one."""
        if self._sql is None:
            self._prepare(connection, list(rows[0]))
        values = [
            tuple(row[name] if convert is None else convert(row[name]) for name, convert in self._columns)
            for row in rows
        ]
        connection.exec_driver_sql(self._sql or "", values)

    def _prepare(self, connection: Connection, names: list[str]) -> None:
        dialect = connection.dialect
        compiled = insert(cast("Table", self._table)).compile(dialect=dialect, column_keys=names)
        self._columns = [
            (name, self._table.columns[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup or ()
        ]
        self._sql = str(compiled)

"""The bytes of a record that its hash is taken of: the same from the row that is written and the row that is read.

Version 1: a JSON object in UTF-8, keys sorted, no spaces, null columns left out, moments as whole microseconds since
1970 (UTC), seconds as the shortest decimal that gives the same double. Null columns are left out so that a later
migration may add a column without changing what old records say.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import DateTime, Float, Table

VERSION = 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


class Canonical:
    """Makes the canonical form of one table's rows."""

    def __init__(self, table: Table) -> None:
        self._moments = tuple(one.name for one in table.columns if isinstance(one.type, DateTime))
        self._floats = tuple(one.name for one in table.columns if isinstance(one.type, Float))

    def record(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row as the JSON object that is hashed."""
        record = {name: value for name, value in row.items() if value is not None}
        for name in self._moments:
            if name in record:
                record[name] = microseconds(record[name])
        for name in self._floats:
            if name in record:
                record[name] = float(record[name]) + 0.0  # SQLite gives 0.0 back for 0 and for -0.0
        return record

    def digest(self, kind: str, row: Mapping[str, Any]) -> bytes:
        """The hash of a row."""
        return record_digest(kind, self.record(row))


def record_bytes(record: Mapping[str, Any]) -> bytes:
    """The canonical bytes of a record."""
    return orjson.dumps(record, option=_OPTIONS)


def record_digest(kind: str, record: Mapping[str, Any]) -> bytes:
    """SHA-256 of `opcgate-audit-record-v1`, a zero byte, the kind, a zero byte and the canonical bytes."""
    return hashlib.sha256(b"opcgate-audit-record-v1\0" + kind.encode() + b"\0" + record_bytes(record)).digest()


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970. SQLite gives moments back without a zone; they are UTC."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND


def moment_of(at_us: int) -> datetime:
    """The moment of so many microseconds since 1970."""
    return EPOCH + at_us * MICROSECOND

"""A record's hash is the same from the row that is written and the row that is read back, on both databases."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.audit.canonical import record_bytes
from gateway.audit.writer import REQUESTS
from gateway.record import RequestEntry
from gateway.store import RequestRecord

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ENTRY = st.fixed_dictionaries(
    {
        "started_at": st.floats(1e9, 4e9),
        "scan_seconds": st.floats(0, 1e6) | st.just(0),
        "queue_seconds": st.just(0) | st.just(-0.0) | st.floats(0, 1),
        "note": TEXT,
        "released": st.dictionaries(TEXT, JSON, max_size=3),
        "covered": st.dictionaries(TEXT, JSON, max_size=3),
        "findings": st.lists(st.dictionaries(TEXT, JSON, max_size=3), max_size=3),
        "streamed": st.booleans(),
        "cost": st.none() | st.integers(-(2**62), 2**62),
        "first_byte_seconds": st.none() | NUMBER,
    }
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=ENTRY)
async def test_a_row_read_back_has_the_hash_of_the_row_written(empty: AsyncEngine, fields: dict[str, Any]) -> None:
    entry = RequestEntry(id="req_1", endpoint="chat.completions", rules_version="r", started_at=fields["started_at"])
    row = entry.row(fields["started_at"] + math.pi) | fields
    row["started_at"] = datetime.fromtimestamp(fields["started_at"], UTC)
    async with empty.begin() as connection:
        await connection.execute(delete(RequestRecord))
        await connection.execute(insert(RequestRecord).values(row))
        (back,) = (await connection.execute(select(*RequestRecord.__table__.columns))).mappings()
    assert record_bytes(REQUESTS.record(dict(back))) == record_bytes(REQUESTS.record(row))
    assert REQUESTS.digest("request", dict(back)) == REQUESTS.digest("request", row)


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"id": "req_1", "cost": None}, '{"id":"req_1"}'),
        ({"started_at": datetime(2026, 5, 1, 8, 0, 0, 1, UTC)}, '{"started_at":1777622400000001}'),
        ({"started_at": datetime(2026, 5, 1, 8, 0, 0, 1)}, '{"started_at":1777622400000001}'),
        ({"total_seconds": 0}, '{"total_seconds":0.0}'),
        ({"total_seconds": 0.1}, '{"total_seconds":0.1}'),
        ({"released": {"b": (1, 2), "a": 1.0}}, '{"released":{"a":1.0,"b":[1,2]}}'),
        ({"note": "标识"}, '{"note":"标识"}'),
    ],
)
def test_the_canonical_bytes_are_what_the_document_says(row: dict[str, Any], wanted: str) -> None:
    assert record_bytes(REQUESTS.record(row)).decode() == wanted


def test_every_column_of_a_record_is_hashed() -> None:
    row = RequestEntry(id="req_1", endpoint="e", started_at=1.0, rules_version="r").row(2.0)
    assert set(row) == {one.name for one in RequestRecord.__table__.columns}, "a column's default would escape the hash"

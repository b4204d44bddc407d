"""The ledger's tables, empty, on both databases."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.gateway.ledger.bench import Clock, empty


@pytest.fixture
async def engine_(database: AsyncEngine) -> AsyncEngine:
    await empty(database)
    return database


@pytest.fixture
def clock() -> Clock:
    return Clock()

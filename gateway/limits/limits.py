"""Admission: what a key, a tenant and a model may ask for, before anything costly is done for a request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.record import RequestEntry
from gateway.tenants.keys import Caller
from gateway.tokens import TokenEstimate
from models.catalog import ServedModel


class Limits:
    """Requests and tokens per minute, and places, of this worker's callers."""

    @asynccontextmanager
    async def admitted(
        self, caller: Caller, model: ServedModel, estimate: TokenEstimate, entry: RequestEntry
    ) -> AsyncIterator[None]:
        """Take the request's share while the block runs. Raises RateLimited, Overloaded."""
        yield

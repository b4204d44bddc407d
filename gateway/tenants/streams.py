"""Keys that end while a stream runs: the stream goes on to its end, unless `tenants.cut_streams_on_revoke`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from gateway.call import Call
from gateway.errors import DirectoryUnavailable
from gateway.tenants.ring import KeyRing
from gateway.upstream import Event


async def while_valid(events: AsyncGenerator[Event], keys: KeyRing, call: Call) -> AsyncGenerator[Event]:
    """The events as long as the key that asked for them is valid; closing this closes them.

    Each event asks the key ring, which asks the database once per cache time, so that nothing is delivered later than
    that after a key has ended. Raises Unauthorized, KeySuspended. A database that is away cuts nothing.
    """
    async with aclosing(events):
        async for event in events:
            if call.caller is not None:  # the gateway's own call for a batch, which asks before each request
                yield event
                continue
            with suppress(DirectoryUnavailable):
                await keys.authenticate(call.credentials, call.address)
            yield event

"""What a key may have open at once. A place is taken before anything else is done and given back on every exit."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import RateLimited
from gateway.tenants.keys import Caller


class Places:
    """Counts open requests per key in this worker."""

    def __init__(self, concurrent_per_key: int) -> None:
        self._limit = concurrent_per_key
        self._open: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """How many requests are open in this worker."""
        return self._open.total()

    @contextmanager
    def reserve(self, caller: Caller) -> Iterator[None]:
        """Hold one of the key's places while the block runs. Raises RateLimited when all are taken."""
        if self._open[caller.key_id] >= self._limit:
            raise RateLimited(
                f"This key already has {self._limit} requests open; wait for one to end. 并发请求数已达上限。"
            )
        self._open[caller.key_id] += 1
        try:
            yield
        finally:
            self._open[caller.key_id] -= 1
            if not self._open[caller.key_id]:
                del self._open[caller.key_id]

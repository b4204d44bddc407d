"""Callers that ask without pause until they are told to stop, and what each of them was told."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.gateway.faults.client import Client
from tests.gateway.faults.site import Site

REFUSALS = {"record_failed", "record_pending", "directory_unavailable", "no_node_available"}


@dataclass
class Load:
    """`said` counts what came: "whole", a refusal's code, or "stream:" and the code that ended a stream."""

    site: Site
    output_tokens: int
    said: Counter[str] = field(default_factory=Counter)
    longest_seconds: float = 0.0
    others: list[str] = field(default_factory=list)
    without_retry_after: int = 0
    _stopping: bool = False
    _askers: list["asyncio.Task[None]"] = field(default_factory=list)

    def start(self, askers: int = 12) -> None:
        self._askers = [asyncio.create_task(self._ask(number)) for number in range(askers)]

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.gather(*self._askers)

    async def _ask(self, number: int) -> None:
        while not self._stopping:
            began = time.monotonic()
            client = await Client.of(self.site, stream=number % 2 == 0).ask()
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
            client.note(self.site, self.output_tokens)
            self._note(client)
            await asyncio.sleep(0.03)

    def _note(self, client: Client) -> None:
        if client.whole:
            self.said["whole"] += 1
        elif client.error not in REFUSALS:
            self.others.append(f"{client.status} {client.received.decode()[-300:]}")
        elif client.status == 200:
            self.said[f"stream:{client.error}"] += 1
        else:
            self.said[client.error] += 1
            self.without_retry_after += client.status != 503 or "retry-after" not in client.headers

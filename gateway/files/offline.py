"""Files and batches of a running worker."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from compliance.labels.ids import new_content_id
from gateway.audit.text_keys import load_text_keys
from gateway.chat import Gateway
from gateway.files.api import Offline
from gateway.files.batches import Batches
from gateway.files.content import Content
from gateway.files.files import Files
from gateway.files.runner import BatchEndpoint, BatchRunner
from gateway.record import RequestEntry

BATCHED = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/moderations")
"""What a batch may ask for."""


@asynccontextmanager
async def running_offline(
    gateway: Gateway, endpoints: Mapping[str, BatchEndpoint], clock: Callable[[], float]
) -> AsyncIterator[Offline]:
    """What the routes of files and batches need, with the runner in the background. Raises RulesError for bad keys."""
    settings, database = gateway.settings.files, gateway.database
    content = Content(load_text_keys(gateway.settings.audit))
    files = Files(database, content, settings, clock)
    batches = Batches(
        database, content, settings, gateway.worker.id, gateway.settings.workers.dead_after_seconds, clock
    )

    def new_entry(endpoint: str) -> RequestEntry:
        return RequestEntry(
            id="req_" + new_content_id(clock()),
            endpoint=endpoint,
            started_at=clock(),
            rules_version=gateway.pipeline.version,
            worker=gateway.worker.id,
            priority="batch",
        )

    runner = BatchRunner(
        batches, files, settings, endpoints, gateway.keys.by_id, lambda: gateway.places.open, new_entry, clock
    )
    runner.start()
    try:
        yield Offline(files, batches, endpoints, settings.batch_lines)
    finally:
        await runner.close()

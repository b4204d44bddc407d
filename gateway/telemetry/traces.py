"""OpenTelemetry traces: a span per request and one per stage, made when the request is over from the times it kept.

So an untraced request costs nothing. Names follow OpenTelemetry's conventions for generative AI; no text is in them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from configs.sections.telemetry import TelemetrySettings
from gateway.record import RequestEntry

BAD = ("failed", "client_gone")
Record = Callable[[RequestEntry, float], None]
"""Takes a finished request and when it ended, in Unix seconds."""


@contextmanager
def running_traces(
    settings: TelemetrySettings, worker: str, processor: SpanProcessor | None = None
) -> Iterator[Record | None]:
    """What records traces, or None when they go nowhere; what waits is sent at the end. `processor` is a test's."""
    if settings.otlp_url is None and processor is None:
        yield None
        return
    if processor is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_url))
    provider = TracerProvider(
        resource=Resource.create({"service.name": "opcgate", "service.instance.id": worker}),
        sampler=ParentBased(TraceIdRatioBased(settings.trace_ratio)),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("opcgate")
    try:
        yield lambda entry, ended_at: record(tracer, entry, ended_at)
    finally:
        provider.shutdown()


def record(tracer: Tracer, entry: RequestEntry, ended_at: float) -> None:
    """Make the spans of one request."""
    parent = TraceContextTextMapPropagator().extract({"traceparent": entry.traceparent or ""})
    root = tracer.start_span(
        f"opcgate {entry.endpoint}",
        context=parent,
        kind=SpanKind.SERVER,
        start_time=_nanoseconds(entry.started_at),
        attributes=_attributes(entry),
    )
    if root.is_recording():
        within = trace.set_span_in_context(root)
        for name, start, end in entry.stages.spans():
            stage = tracer.start_span(name, context=within, start_time=_nanoseconds(entry.started_at + start))
            stage.end(_nanoseconds(entry.started_at + end))
        if entry.outcome in BAD:
            root.set_status(Status(StatusCode.ERROR, entry.error_code or entry.outcome))
    root.end(_nanoseconds(ended_at))


def _attributes(entry: RequestEntry) -> dict[str, AttributeValue]:
    known: dict[str, AttributeValue | None] = {
        "gen_ai.request.model": entry.model,
        "gen_ai.usage.input_tokens": entry.prompt_tokens,
        "gen_ai.usage.output_tokens": entry.completion_tokens,
        "opcgate.request_id": entry.id,
        "opcgate.outcome": entry.outcome,
        "opcgate.node": entry.node,
        "opcgate.tenant": entry.tenant,
        "opcgate.streamed": entry.streamed,
        "opcgate.attempts": entry.attempts,
        "opcgate.findings": len(entry.findings),
        "opcgate.queue_seconds": entry.queue_seconds,
        "opcgate.output_scan_seconds": entry.stages.output_scan,
        "opcgate.upstream_seconds": entry.stages.upstream,
    }
    return {name: value for name, value in known.items() if value is not None}


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)

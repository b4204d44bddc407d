"""OpenTelemetry traces: a span per request and one per stage, made when the request is over from the times it kept.

So a request that isn't traced costs its ids and no more; a node is told them, in W3C's `traceparent`. Names follow
OpenTelemetry's conventions for generative AI; no text is in them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, TraceIdRatioBased
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from configs.sections.telemetry import TelemetrySettings
from gateway.record import RequestEntry

BAD = ("failed", "client_gone")


@dataclass(frozen=True, slots=True)
class TraceIds:
    """What a request is called in its trace. `caller` is the span that the caller says it came from."""

    trace: int
    span: int
    sampled: bool
    caller: SpanContext

    def traceparent(self) -> str:
        """As W3C's header says it."""
        return f"00-{self.trace:032x}-{self.span:016x}-{int(self.sampled):02x}"


@contextmanager
def running_traces(
    settings: TelemetrySettings, worker: str, processor: SpanProcessor | None = None
) -> Iterator["Traces | None"]:
    """What records traces, or None when they go nowhere; what waits is sent at the end. `processor` is a test's."""
    if settings.otlp_url is None and processor is None:
        yield None
        return
    if processor is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_url))
    ids = KnownIds()
    provider = TracerProvider(
        resource=Resource.create({"service.name": "opcgate", "service.instance.id": worker}),
        sampler=ALWAYS_ON,  # what is not sampled makes no span at all
        id_generator=ids,
        shutdown_on_exit=False,
    )
    provider.add_span_processor(processor)
    try:
        yield Traces(settings, provider, ids)
    finally:
        provider.shutdown()


class KnownIds(RandomIdGenerator):
    """Random ids, but for a request's own span: its node has been told of them already."""

    def __init__(self) -> None:
        self.next: TraceIds | None = None

    def generate_trace_id(self) -> int:
        """The request's."""
        return super().generate_trace_id() if self.next is None else self.next.trace

    def generate_span_id(self) -> int:
        """The request's once, then those of its stages."""
        known, self.next = self.next, None
        return super().generate_span_id() if known is None else known.span


class Traces:
    """Gives requests their ids when they begin, and makes their spans when they are over."""

    def __init__(self, settings: TelemetrySettings, provider: TracerProvider, ids: KnownIds) -> None:
        self._trust = settings.callers_traceparent
        self._ratio = TraceIdRatioBased(settings.trace_ratio)
        self._tracer = provider.get_tracer("opcgate")
        self._ids = ids

    def begin(self, entry: RequestEntry) -> TraceIds:
        """The ids of a request. A caller's trace goes on only where the settings trust callers with it."""
        caller = INVALID_SPAN_CONTEXT
        if entry.traceparent is not None and self._trust != "ignore":
            context = TraceContextTextMapPropagator().extract({"traceparent": entry.traceparent})
            caller = trace.get_current_span(context).get_span_context()
        if caller.is_valid and self._trust == "parent":
            return TraceIds(caller.trace_id, self._ids.generate_span_id(), caller.trace_flags.sampled, caller)
        trace_id = self._ids.generate_trace_id()
        sampled = self._ratio.should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE
        return TraceIds(trace_id, self._ids.generate_span_id(), sampled, caller)

    def __call__(self, entry: RequestEntry, ended_at: float) -> None:
        """Make the spans of a request that ended, in Unix seconds."""
        ids = entry.trace or self.begin(entry)
        if not ids.sampled:
            return
        continues = ids.caller.is_valid and ids.caller.trace_id == ids.trace
        parent = trace.set_span_in_context(trace.NonRecordingSpan(ids.caller)) if continues else None
        self._ids.next = ids
        root = self._tracer.start_span(
            f"opcgate {entry.endpoint}",
            context=parent or Context(),
            kind=SpanKind.SERVER,
            start_time=_nanoseconds(entry.started_at),
            attributes=_attributes(entry),
            links=[Link(ids.caller)] if ids.caller.is_valid and not continues else None,
        )
        within = trace.set_span_in_context(root)
        for name, start, end in entry.stages.spans():
            stage = self._tracer.start_span(name, context=within, start_time=_nanoseconds(entry.started_at + start))
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

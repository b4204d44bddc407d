"""What the gateway tells of itself: metrics, traces and logs, none of them with a word of what users wrote."""

import asyncio
import logging
import re

import orjson
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from configs.sections.telemetry import TelemetrySettings
from gateway.record import RequestEntry
from gateway.telemetry.logs import JsonLines, log_request
from gateway.telemetry.stages import Stages
from gateway.telemetry.traces import running_traces
from loadtests.fake_engine import Script
from tests.gateway.conftest import Faulty
from tests.gateway.routing.site import site

SAID = "写一句文案"


def value(text: str, name: str, **labels: str) -> float:
    """A sample's value; 0 when there is none yet."""
    wanted = [f'{key}="{one}"' for key, one in labels.items()]
    for line in text.splitlines():
        if re.match(rf"{name}[ {{]", line) and all(one in line for one in wanted):
            return float(line.rpartition(" ")[2])
    return 0.0


def test_a_request_shows_in_every_metric_that_it_touches(faulty: Faulty) -> None:
    before = faulty.client.get("/metrics").text
    assert faulty.chat().status_code == 200
    faulty.engine.script = Script([{"content": "好"}] * 5)
    assert faulty.chat(stream=True).status_code == 200
    assert faulty.chat(messages=[{"role": "user", "content": "出售冰毒，量大从优"}]).status_code == 400
    after = faulty.client.get("/metrics").text
    chat = {"endpoint": "chat.completions", "model": "opc-starter"}
    for name, labels, more in (
        ("opcgate_requests_total", chat | {"outcome": "completed"}, 2),
        ("opcgate_requests_total", chat | {"outcome": "refused"}, 1),
        ("opcgate_errors_total", {"code": "content_filter"}, 1),
        ("opcgate_tokens_total", {"model": "opc-starter", "kind": "prompt"}, 14),
        ("opcgate_tokens_total", {"model": "opc-starter", "kind": "completion"}, 6),
        ("opcgate_time_to_first_event_seconds_count", {"model": "opc-starter"}, 2),
        ("opcgate_time_per_output_token_seconds_count", {"model": "opc-starter"}, 1),
        ("opcgate_overhead_seconds_count", {"endpoint": "chat.completions"}, 2),
        ("opcgate_scan_seconds_count", {"direction": "prompt"}, 3),
        ("opcgate_scan_seconds_count", {"direction": "output"}, 2),
        ("opcgate_settle_seconds_count", {}, 3),
    ):
        assert value(after, name, **labels) - value(before, name, **labels) == more, name
    assert value(after, "opcgate_node_ready", node="fake") == 1
    assert value(after, "opcgate_node_state", node="fake", state="active") == 1
    assert value(after, "opcgate_workers") >= 1
    assert SAID not in after


def finished(**fields: object) -> RequestEntry:
    entry = RequestEntry(id="req_1", endpoint="chat.completions", started_at=1000.0, rules_version="r")
    for name, one in fields.items():
        setattr(entry, name, one)
    entry.stages = Stages(began=10.0, marks=[("authenticate", 10.0), ("check", 10.1), ("answer", 10.3), ("", 11.0)])
    return entry


def spans(entry: RequestEntry, ratio: float = 1.0, trust: str = "link") -> list:
    exporter = InMemorySpanExporter()
    settings = TelemetrySettings(trace_ratio=ratio, callers_traceparent=trust)
    with running_traces(settings, "wrk_1", SimpleSpanProcessor(exporter)) as record:
        assert record is not None
        record(entry, 1001.0)
        return list(exporter.get_finished_spans())


def test_a_trace_has_a_span_per_stage_with_its_time() -> None:
    *stages, root = spans(finished(model="opc-starter", prompt_tokens=7, outcome="completed"))
    assert root.name == "opcgate chat.completions"
    assert root.attributes["gen_ai.request.model"] == "opc-starter"
    assert root.attributes["gen_ai.usage.input_tokens"] == 7
    assert [one.name for one in stages] == ["authenticate", "check", "answer"]
    assert {one.parent.span_id for one in stages} == {root.context.span_id}
    for one, seconds in zip(stages, (0.1, 0.2, 0.7), strict=True):
        assert (one.end_time - one.start_time) / 1e9 == pytest.approx(seconds, abs=1e-6)
    assert root.end_time - root.start_time == 1_000_000_000


CALLERS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0{}"
TRUST = [
    # how far callers are trusted, ratio, the caller's flag; is it traced, in the caller's trace, with a link?
    ("parent", 0.0, 1, True, True, False),
    ("parent", 1.0, 0, False, None, None),
    ("link", 1.0, 0, True, False, True),
    ("link", 0.0, 1, False, None, None),
    ("ignore", 1.0, 1, True, False, False),
    ("ignore", 0.0, 1, False, None, None),
]


@pytest.mark.parametrize(("trust", "ratio", "flag", "traced", "same", "linked"), TRUST)
def test_a_callers_trace_is_trusted_as_far_as_the_settings_say(
    trust: str, ratio: float, flag: int, traced: bool, same: bool | None, linked: bool | None
) -> None:
    found = spans(finished(traceparent=CALLERS.format(flag)), ratio, trust)
    assert bool(found) == traced
    for root in found[-1:]:
        assert (f"{root.context.trace_id:032x}" == CALLERS.split("-")[1]) == same
        assert (root.parent is not None) == same
        assert [f"{one.context.span_id:016x}" for one in root.links] == ([CALLERS.split("-")[2]] if linked else [])
    assert spans(finished(traceparent="nonsense"), 0.0, trust) == []
    assert len(spans(finished(traceparent="nonsense"), 1.0, trust)) == 4


@pytest.mark.parametrize("ratio", [0.0, 1.0])
async def test_a_node_is_told_the_span_that_is_made_later(ratio: float) -> None:
    exporter = InMemorySpanExporter()
    with running_traces(TelemetrySettings(trace_ratio=ratio), "wrk_1", SimpleSpanProcessor(exporter)) as traces:
        assert traces is not None
        entry = finished()
        entry.trace = traces.begin(entry)
        here = await site("a")
        await here.ask(entry=entry)
        traces(entry, 1001.0)
        (told,) = here.wire.told
        version, trace_id, span_id, flags = told["traceparent"].split("-")
        assert (version, flags) == ("00", "01" if ratio else "00")
        made = [
            (f"{one.context.trace_id:032x}", f"{one.context.span_id:016x}") for one in exporter.get_finished_spans()
        ]
        assert made[-1:] == ([(trace_id, span_id)] if ratio else [])


async def test_without_traces_a_node_is_told_nothing() -> None:
    here = await site("a")
    await here.ask()
    assert here.wire.told == [{}]


def test_a_failure_is_marked_in_its_trace() -> None:
    *_, root = spans(finished(outcome="failed", error_code="node_failed"))
    assert root.status.status_code is StatusCode.ERROR
    assert root.status.description == "node_failed"


def test_traces_that_go_nowhere_are_not_made() -> None:
    with running_traces(TelemetrySettings(), "wrk_1") as record:
        assert record is None


def test_a_line_per_request_holds_no_text(caplog: pytest.LogCaptureFixture) -> None:
    entry = finished(model="opc-starter", tenant="opc", outcome="completed", completion_tokens=6)
    with caplog.at_level(logging.INFO, "opcgate.requests"):
        log_request(entry, 1001.0)
    (record,) = caplog.records
    line = orjson.loads(JsonLines().format(record))
    assert line.items() >= {"request_id": "req_1", "tenant": "opc", "completion_tokens": 6, "seconds": 1.0}.items()


async def test_a_log_line_is_json_and_names_its_request() -> None:
    async def log() -> str:
        record = logging.LogRecord("opcgate.x", logging.WARNING, "f", 1, "节点 %s", ("n1",), None)
        record.fields = {"seconds": 0.5}
        return JsonLines().format(record)

    line = orjson.loads(await asyncio.create_task(log(), name="req_42"))
    assert line.items() >= {
        "level": "warning", "logger": "opcgate.x", "message": "节点 n1", "request_id": "req_42", "seconds": 0.5,
    }.items()  # fmt: skip
    assert "request_id" not in orjson.loads(await asyncio.create_task(log(), name="other"))
    assert "request_id" not in orjson.loads(await asyncio.to_thread(JsonLines().format, logging.makeLogRecord({})))

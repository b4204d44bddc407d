"""Settings of metrics, traces, logs and statistics."""

from typing import Literal

from pydantic import Field

from configs.strict import Strict


class TelemetrySettings(Strict):
    """What the gateway tells of itself (docs/telemetry.md). Nothing is sent anywhere unless `otlp_url` is set.

    `otlp_url` takes traces by OTLP over HTTP, like http://127.0.0.1:4318/v1/traces; `trace_ratio` of the requests are
    traced. A caller's traceparent is a link, or ignored, or the parent, which also decides what is traced.
    `request_log` writes a line per request, without user text.
    Statistics count by days at `statistics_utc_offset_hours`.
    """

    log_format: Literal["json", "text"] = "json"
    request_log: bool = False
    otlp_url: str | None = Field(None, pattern=r"^https?://")
    callers_traceparent: Literal["ignore", "link", "parent"] = "link"
    trace_ratio: float = Field(0.05, ge=0, le=1)
    statistics_utc_offset_hours: int = Field(8, ge=-12, le=14)

"""Settings of metrics, traces, logs and statistics."""

from typing import Literal

from pydantic import Field

from configs.strict import Strict


class TelemetrySettings(Strict):
    """What the gateway tells of itself (docs/telemetry.md). Nothing is sent anywhere unless `otlp_url` is set.

    `otlp_url` takes traces by OTLP over HTTP, like http://127.0.0.1:4318/v1/traces; of requests that bring no decision
    of their own, `trace_ratio` are traced. `request_log` writes a line per request, without user text.
    Statistics count by days at `statistics_utc_offset_hours`.
    """

    log_format: Literal["json", "text"] = "json"
    request_log: bool = False
    otlp_url: str | None = Field(None, pattern=r"^https?://")
    trace_ratio: float = Field(0.05, ge=0, le=1)
    statistics_utc_offset_hours: int = Field(8, ge=-12, le=14)

"""Settings of telemetry."""

from configs.strict import Strict


class TelemetrySettings(Strict):
    """Metrics, traces and logs."""

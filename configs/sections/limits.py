"""Settings of limits: what a key, organisation or model may ask for."""

from pydantic import Field

from configs.strict import Strict


class RateSettings(Strict):
    """Limits of one subject; None is no limit. They hold for all workers and replicas together."""

    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)
    concurrent_requests: int | None = Field(None, ge=1)


class LimitSettings(Strict):
    """What may be asked for (docs/limits.md); the engine's own limits come on top.

    `key` and `tenant` hold for each of them, `keys`, `tenants` and `models` for those named; what an operator sets
    through the control API goes before. `weights` are the organisations' shares when the nodes are full, 1 for the
    others. Long texts are scanned in `scan_threads` of each worker, where organisations take turns.
    """

    concurrent_requests_per_key: int = Field(64, ge=1)
    choices_per_request: int = Field(8, ge=1)
    key: RateSettings = RateSettings()
    tenant: RateSettings = RateSettings()
    keys: dict[str, RateSettings] = Field(default_factory=dict)
    tenants: dict[str, RateSettings] = Field(default_factory=dict)
    models: dict[str, RateSettings] = Field(default_factory=dict)
    weights: dict[str, float] = Field(default_factory=dict)
    scan_threads: int = Field(2, ge=1, le=32)
    refresh_seconds: float = Field(2.0, gt=0)

"""Settings of limits: what a key, tenant or model may ask for."""

from pydantic import Field

from configs.strict import Strict


class LimitSettings(Strict):
    """What one key may ask for at once; the engine's own limits come on top."""

    concurrent_requests_per_key: int = Field(64, ge=1)
    choices_per_request: int = Field(8, ge=1)

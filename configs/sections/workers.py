"""Settings of worker processes."""

from pydantic import Field

from configs.strict import Strict


class WorkerSettings(Strict):
    """Worker processes on one port: how many, how often each says that it lives, and when a silent one is dead."""

    processes: int = Field(1, ge=1, le=64)
    heartbeat_seconds: float = Field(2.0, gt=0)
    dead_after_seconds: float = Field(15.0, gt=0)

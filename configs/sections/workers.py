"""Settings of worker processes."""

from pydantic import Field

from configs.strict import Strict


class WorkerSettings(Strict):
    """Worker processes: how often each says that it lives, and after how long without a word it counts as dead."""

    heartbeat_seconds: float = Field(2.0, gt=0)
    dead_after_seconds: float = Field(15.0, gt=0)

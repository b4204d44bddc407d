"""Settings of the engine nodes and the way to them."""

from pydantic import Field

from configs.strict import Strict


class UpstreamSettings(Strict):
    """How long the gateway waits for an engine node before it answers with an error."""

    connect_seconds: float = Field(3.0, gt=0)
    idle_seconds: float = Field(120.0, gt=0)
    whole_answer_seconds: float = Field(600.0, gt=0)
    probe_interval_seconds: float = Field(5.0, gt=0)
    probe_timeout_seconds: float = Field(10.0, gt=0)
    connections_per_node: int = Field(1024, ge=1)


class NodeSettings(Strict):
    """One engine node: an address that answers vLLM's API, and the catalog models that it serves."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    url: str = Field(pattern=r"^https?://")
    models: tuple[str, ...] = Field(min_length=1)


class RoutingSettings(Strict):
    """How a node is chosen for a request."""

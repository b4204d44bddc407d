"""Settings of the engine nodes and the way to them."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from configs.sections.catalog import Hardware
from configs.strict import Strict


def _plain_address(url: str) -> str:
    """A node's address is scheme, host and port: what is behind it is the gateway's to say."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("start with http:// or https:// and a host. 请以 http:// 或 https:// 开头")
    if parts.username is not None or parts.password is not None:
        raise ValueError("leave user name and password out of the address. 地址中不得含用户名和密码")
    if parts.query or parts.fragment or parts.path not in ("", "/") or any(ord(one) < 33 for one in url):
        raise ValueError("give scheme, host and port only, without a path. 只填协议、主机和端口")
    if parts.port == 0:
        raise ValueError("give a port from 1 to 65535. 端口须为 1 至 65535")
    return url.rstrip("/")


NodeAddress = Annotated[str, Field(max_length=300), AfterValidator(_plain_address)]
NodeName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=50)]
Region = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$|^$", max_length=40)]
LabelText = Annotated[str, Field(max_length=60)]


class UpstreamSettings(Strict):
    """How long the gateway waits for an engine node before it answers with an error, and how much it takes of one.

    `idle_seconds` is the longest time without an event of a stream, `whole_answer_seconds` that of an answer in one
    piece. An answer of more than `answer_bytes` in one piece, or one event of more than `event_bytes`, is refused.
    """

    connect_seconds: float = Field(3.0, gt=0)
    idle_seconds: float = Field(120.0, gt=0)
    whole_answer_seconds: float = Field(600.0, gt=0)
    probe_interval_seconds: float = Field(5.0, gt=0)
    probe_timeout_seconds: float = Field(10.0, gt=0)
    connections_per_node: int = Field(1024, ge=1)
    answer_bytes: int = Field(64 * 1024 * 1024, ge=1024)
    event_bytes: int = Field(16 * 1024 * 1024, ge=1024)


class NodeSettings(Strict):
    """One engine node: an address that answers vLLM's API, and the catalog models that it serves.

    `capacity` is how many requests it takes at once; `cost_weight` makes it look that much busier than it is.
    Where `hardware` is named, models that it can't serve are refused (configs/compatibility.yaml).
    """

    name: NodeName
    url: NodeAddress
    models: tuple[str, ...] = Field(min_length=1)
    region: Region = ""
    hardware: Hardware | None = None
    capacity: int = Field(1024, ge=1, le=1_000_000)
    cost_weight: float = Field(1.0, gt=0, le=1000)
    labels: dict[LabelText, LabelText] = Field(default_factory=dict, max_length=20)


class ProviderSettings(Strict):
    """Another provider that may take requests that no own node can: `model` is litellm's name of what is asked."""

    name: NodeName
    model: str = Field(min_length=1, max_length=200)
    api_key_env: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    api_base: str | None = Field(None, pattern=r"^https?://")


class RoutingSettings(Strict):
    """How a node is chosen for a request, what is done when one fails, and what when all are full (docs/routing.md).

    `region` is where callers without a region are taken to be. A conversation goes to the node that has its beginning
    cached while that node has at most `affinity_factor` times the least loaded one's requests, or `affinity_slack` of
    its capacity more. A node is left alone after `breaker_failures` in a row, for `breaker_seconds`, doubled up to
    `breaker_longest_seconds`. A request is tried on at most `attempts` nodes and starts within `start_seconds`.
    """

    region: Region = ""
    refresh_seconds: float = Field(2.0, gt=0)
    load_interval_seconds: float = Field(1.0, gt=0)
    attempts: int = Field(3, ge=1, le=10)
    start_seconds: float = Field(180.0, gt=0)
    breaker_failures: int = Field(5, ge=1)
    breaker_seconds: float = Field(1.0, gt=0)
    breaker_longest_seconds: float = Field(10.0, gt=0)
    affinity_factor: float = Field(1.5, ge=1)
    affinity_slack: float = Field(0.1, ge=0, le=1)
    prefix_characters: int = Field(256, ge=16)
    prefixes_remembered: int = Field(50_000, ge=0)
    request_tokens: int = Field(2048, ge=1)
    hedge: bool = False
    queue_length: int = Field(1000, ge=0)
    queue_seconds: float = Field(30.0, gt=0)
    drain_notice_seconds: float = Field(0.0, ge=0, le=5)
    providers: tuple[ProviderSettings, ...] = ()
    overflow: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    may_leave: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _providers_are_known(self) -> "RoutingSettings":
        names = [one.name for one in self.providers]
        if len(set(names)) != len(names):
            raise ValueError("providers: two share a name; give each its own. 供应商名称重复")
        for model, chosen in self.overflow.items():
            unknown = [one for one in chosen if one not in names]
            if unknown:
                raise ValueError(f"overflow.{model}: no provider is called {', '.join(unknown)}. 没有该供应商")
        return self

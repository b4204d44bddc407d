"""Typed settings of a deployment. Units are in the names; unknown keys are errors."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from configs.sections.audit import AuditSettings
from configs.sections.catalog import AdapterSettings as AdapterSettings
from configs.sections.catalog import CatalogSettings as CatalogSettings
from configs.sections.catalog import ModelSettings as ModelSettings
from configs.sections.catalog import Scheme
from configs.sections.catalog import SourceSettings as SourceSettings
from configs.sections.files import FileSettings
from configs.sections.ledger import LedgerSettings
from configs.sections.limits import LimitSettings
from configs.sections.reports import ReportSettings
from configs.sections.routing import NodeSettings, RoutingSettings, UpstreamSettings
from configs.sections.telemetry import TelemetrySettings
from configs.sections.tenants import TenantSettings
from configs.sections.workers import WorkerSettings
from configs.strict import Strict


class ListenSettings(Strict):
    """Where the gateway listens and what it accepts at the door.

    A client that takes nothing of its answer, or sends nothing of its body, for `stalled_seconds` is hung up on.
    """

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024)
    drain_seconds: float = Field(10.0, gt=0)
    stalled_seconds: float = Field(60.0, gt=0)


class DatabaseSettings(Strict):
    """The store of keys and request records: SQLite by default, PostgreSQL for several replicas.

    What doesn't answer within `wait_seconds` is away: who waits for it is refused, and the connection given up.
    """

    url: str = "sqlite+aiosqlite:///.state/opcgate.db"
    key_cache_seconds: float = Field(5.0, ge=0)
    wait_seconds: float = Field(10.0, gt=0)

    @field_validator("url")
    @classmethod
    def _driver_is_async(cls, url: str) -> str:
        if not url.startswith(("sqlite+aiosqlite://", "postgresql+asyncpg://")):
            raise ValueError("start with sqlite+aiosqlite:// or postgresql+asyncpg://")
        return url

    def public_url(self) -> str:
        """The address without user name and password, fit for a log."""
        return re.sub(r"//[^/]*@", "//", self.url)


class ComplianceSettings(Strict):
    """Which rules the pipeline is built from. Paths are relative to the settings file's folder.

    `policy` is the default policy. `models` and `tenants` name policies (files of `policy_folders` or the shipped
    ones) that are laid over it. See docs/policies.md. `unscannable_parts` says what becomes of images, sounds and
    files in messages. Outcomes of `remembered_texts` (0: none) are kept, so that a conversation that is sent again
    needs no new scan. `injection` is a file of attack patterns in place of the shipped one.
    """

    policy: Path = Path("policies/base.yaml")
    policy_folders: tuple[Path, ...] = ()
    models: dict[str, str] = Field(default_factory=dict)
    tenants: dict[str, str] = Field(default_factory=dict)
    reload_interval_seconds: float = Field(2.0, gt=0)
    lexicons: tuple[Path, ...] = (Path("lexicons/starter.tsv"),)
    allow_lists: tuple[Path, ...] = (Path("lexicons/allow.tsv"),)
    injection: Path | None = None
    deadline_seconds: float = Field(2.0, gt=0)
    unscannable_parts: Literal["refuse", "pass"] = "refuse"
    remembered_texts: int = Field(50_000, ge=0)
    remembered_bytes: int = Field(32 * 1024 * 1024, ge=0)


class ModerationSettings(Strict):
    """What one request to `/v1/moderations` may ask for; it needs no engine, so it has places of its own."""

    concurrent_requests_per_key: int = Field(16, ge=1)
    texts_per_request: int = Field(64, ge=1)
    characters_per_request: int = Field(200_000, ge=1)


class GuardActions(Strict):
    """What is done with a guard's finding of each severity."""

    high: Literal["block", "flag"] = "block"
    medium: Literal["block", "flag"] = "flag"
    low: Literal["block", "flag"] = "flag"


class GuardSettings(Strict):
    """A guard model behind an OpenAI-compatible address, and what its judgements lead to. See docs/guard-models.md."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    protocol: Literal["qwen3guard", "llama_guard", "openai_moderation"]
    url: str = Field(pattern=r"^https?://")
    model: str
    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    directions: tuple[Literal["prompt", "output"], ...] = Field(("prompt", "output"), min_length=1)
    mode: Literal["strict", "cutoff"] = "strict"
    deadline_seconds: float = Field(5.0, gt=0)
    on_failure: Literal["refuse", "flag"] = "refuse"
    concurrent_judgements: int = Field(16, ge=1)
    window_characters: int = Field(16_000, ge=1024)
    actions: GuardActions = GuardActions()


LabelPosition = Literal["start", "end", "both", "corner"]


class LabelSettings(Strict):
    """Labels of generated content (docs/labels.md). `key_file` is relative to the working directory, as a database is.

    `provider` is the 27-character provider code or, without one, an ASCII name; `position` is where the visible text
    stands: in the answer's text, or at the caller's interface (corner). `tenants` and then a key's own go before it.
    """

    provider: str = "opcgate-local"
    display_name: str = Field("opcgate", min_length=1, max_length=60)
    position: LabelPosition = "corner"
    tenants: dict[str, LabelPosition] = Field(default_factory=dict)
    language: Literal["zh", "en"] = "zh"
    text_zh: str = "AI生成（{name} · {model}）"
    text_en: str = "AI生成 / AI-generated ({name} · {model})"
    key_file: Path = Path(".state/label-key.pem")
    agreement_version: str = Field("1", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")


class EngineSettings(Strict):
    """The engine that `opcgate up` starts beside the gateway. `variant` is a scheme of the model\'s variants."""

    model: str = "opc-starter"
    variant: Scheme | None = None
    host: str = "127.0.0.1"
    port: int = Field(8001, ge=1, le=65535)
    kv_cache_gib: int = Field(1, ge=1)
    start_timeout_seconds: float = Field(600.0, gt=0)


class Settings(Strict):
    """A whole deployment, as `configs/opcgate.yaml` states it."""

    listen: ListenSettings = ListenSettings()
    database: DatabaseSettings = DatabaseSettings()
    limits: LimitSettings = LimitSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    compliance: ComplianceSettings = ComplianceSettings()
    labels: LabelSettings = LabelSettings()
    moderations: ModerationSettings = ModerationSettings()
    engine: EngineSettings = EngineSettings()
    catalog: Path = Path("models.yaml")
    nodes: tuple[NodeSettings, ...] = Field(min_length=1)
    guards: tuple[GuardSettings, ...] = ()
    tenants: TenantSettings = TenantSettings()
    ledger: LedgerSettings = LedgerSettings()
    audit: AuditSettings = AuditSettings()
    routing: RoutingSettings = RoutingSettings()
    files: FileSettings = FileSettings()
    reports: ReportSettings = ReportSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    workers: WorkerSettings = WorkerSettings()
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("nodes")
    @classmethod
    def _names_are_unique(cls, nodes: tuple[NodeSettings, ...]) -> tuple[NodeSettings, ...]:
        names = [node.name for node in nodes]
        if len(set(names)) != len(names):
            raise ValueError("two nodes share a name; give each its own")
        return nodes

    @field_validator("guards")
    @classmethod
    def _guard_names_are_unique(cls, guards: tuple[GuardSettings, ...]) -> tuple[GuardSettings, ...]:
        names = [guard.name for guard in guards]
        if len(set(names)) != len(names):
            raise ValueError("two guards share a name; give each its own")
        return guards

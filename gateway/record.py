"""What is known of a request, and what it commits when it ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Executable

from compliance.policies.policy import RepeatedViolationRule
from compliance.rulebook import EffectiveRules
from compliance.verdict import Action, Direction, Finding
from gateway.audit.coverage import coverage
from gateway.surfaces import moderations
from gateway.telemetry.stages import Stages

if TYPE_CHECKING:
    from gateway.audit.texts import Keeping, SealedText
    from gateway.ledger.ledger import Charge, Hold
    from gateway.telemetry.traces import TraceIds
    from gateway.tenants.keys import Caller

UNDELIVERED = "not delivered: the record could not be committed in time"


@dataclass(slots=True)
class RequestEntry:
    """What is known of a request so far; filled in on its way down, written once at its end."""

    id: str
    endpoint: str
    started_at: float
    rules_version: str
    key_id: str | None = None
    key_version: int | None = None
    tenant: str | None = None
    worker: str | None = None
    model: str | None = None
    model_digest: str | None = None
    node: str | None = None
    region: str | None = None
    streamed: bool = False
    outcome: str = "started"
    error_code: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    unreported: list[tuple[str, str]] = field(default_factory=list)
    hold: "Hold | None" = None
    cost: int | None = None
    findings: list[dict[str, Any]] = field(default_factory=list)
    released: dict[str, Any] = field(default_factory=dict)
    covered: dict[str, dict[str, int]] = field(default_factory=dict)
    scanners: dict[str, list[str]] = field(default_factory=dict)
    attempts: int = 0
    stages: Stages = field(default_factory=Stages)
    traceparent: str | None = None
    trace: "TraceIds | None" = None
    scan_seconds: float = 0.0
    queue_seconds: float = 0.0
    first_byte_at: float | None = None
    note: str = ""
    label_asked: str | None = None
    label_position: str | None = None
    label_characters: int | None = None
    label_agreement: int | None = None
    priority: Literal["live", "batch"] = "live"
    statements: list[Executable] = field(default_factory=list)
    limit_headers: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    response_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    policy: str | None = None
    dry_run: bool = False
    repeated_violations: RepeatedViolationRule | None = None
    violation: str | None = None
    keeping: "Keeping | None" = None
    prompt_text_digest: str | None = None
    answer_text_digest: str | None = None

    def of(self, caller: "Caller") -> None:
        """Note who asks."""
        self.key_id = caller.key_id
        self.key_version = caller.key_version
        self.tenant = caller.tenant

    def under(self, rules: EffectiveRules) -> None:
        """Note which rules hold for this request."""
        self.rules_version = rules.pipeline.version
        self.scanners = rules.pipeline.scanner_names
        self.policy = rules.policy.name
        self.dry_run = rules.policy.dry_run
        self.repeated_violations = rules.policy.repeated_violations

    def broke_rules(self, direction: Direction, action: Action) -> None:
        """A prompt or an output was stopped: it is a violation if the policy counts it, or suspends for it at once."""
        if action is Action.suspend:
            self.violation = "suspend"
        elif action is Action.block and self.repeated_violations and direction in self.repeated_violations.count:
            self.violation = self.violation or "block"

    def cover(self, where: str, characters: int, by: str = "rules") -> None:
        """Note that so many characters of a field of the prompt were scanned."""
        fields = self.covered.setdefault(by, {})
        fields[where] = fields.get(where, 0) + characters

    def add_findings(self, where: str, findings: tuple[Finding, ...]) -> None:
        """Keep what a finding says, and where; never the text it covers."""
        for one in findings:
            self.findings.append(
                {
                    "where": where,
                    "start": one.start,
                    "end": one.end,
                    "type": one.type,
                    "risk": one.risk,
                    "severity": one.severity,
                    "scanner": one.scanner,
                    "rule": one.rule,
                    "folding": one.folding,
                    "action": str(one.action),
                }
                | ({"dry_run": True} if self.dry_run else {})
            )

    def row(self, ended_at: float) -> dict[str, Any]:
        """The row as it is stored."""
        return {
            "id": self.id,
            "started_at": datetime.fromtimestamp(self.started_at, UTC),
            "key_id": self.key_id,
            "key_version": self.key_version,
            "tenant": self.tenant,
            "worker": self.worker,
            "endpoint": self.endpoint,
            "model": self.model,
            "model_digest": self.model_digest,
            "node": self.node,
            "region": self.region,
            "streamed": self.streamed,
            "outcome": self.outcome,
            "error_code": self.error_code,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cached_tokens": self.cached_tokens,
            "cost": self.cost,
            "rules_version": self.rules_version,
            "findings": self.findings,
            "released": self.released,
            "covered": coverage(self),
            "attempts": self.attempts,
            "scan_seconds": self.scan_seconds,
            "queue_seconds": self.queue_seconds,
            "first_byte_seconds": None if self.first_byte_at is None else self.first_byte_at - self.started_at,
            "total_seconds": ended_at - self.started_at,
            "note": self.note,
            "label_position": self.label_position,
            "label_characters": self.label_characters,
            "label_agreement": self.label_agreement,
            "policy": self.policy,
            "violation": self.violation,
            "prompt_text_digest": self.prompt_text_digest,
            "answer_text_digest": self.answer_text_digest,
        }


def direction_and_action(endpoint: str, finding: Mapping[str, Any]) -> tuple[str, str]:
    """How sums and metrics call a recorded finding: in a prompt, an output or a free check, and what was done."""
    direction = "output" if finding["where"].startswith("choices.") else "prompt"
    if endpoint == moderations.ENDPOINT:
        direction = "check"
    return direction, "dry_run" if finding.get("dry_run") else finding["action"]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one finished request commits in one transaction: its row, what it costs (None: nothing was held), and
    what is kept of its text."""

    row: dict[str, Any]
    charge: "Charge | None" = None
    texts: "tuple[SealedText, ...]" = ()
    statements: tuple[Executable, ...] = ()

    def undelivered(self) -> "Settlement":
        """The same for a caller who was told 503 instead of the answer: it pays nothing, and the row says so."""
        row = self.row | {"note": "; ".join(one for one in (self.row["note"], UNDELIVERED) if one)}
        if row["error_code"] is None:
            row |= {"outcome": "failed", "error_code": "record_failed"}
        if row["cost"] is not None:
            row["cost"] = 0
        return Settlement(row, None, self.texts)

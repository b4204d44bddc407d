"""Prometheus metrics of one worker, in base units."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gateway.record import RequestEntry
from gateway.routing.nodes import Nodes
from gateway.rules import Rules
from gateway.surfaces import moderations

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """Every metric, in a registry of its own so that two apps in one process don't clash."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "opcgate_requests", "Requests by end.", ["endpoint", "model", "outcome"], registry=registry
        )
        self._tokens = Counter("opcgate_tokens", "Tokens by kind.", ["model", "kind"], registry=registry)
        self._findings = Counter(
            "opcgate_findings", "Findings of the pipeline.", ["direction", "risk", "action"], registry=registry
        )
        self._first_event = Histogram(
            "opcgate_time_to_first_event_seconds", "TTFT.", ["model"], buckets=SECONDS, registry=registry
        )
        self._total = Histogram(
            "opcgate_request_seconds", "Whole requests.", ["endpoint"], buckets=SECONDS, registry=registry
        )
        self._node_ready = Gauge(
            "opcgate_node_ready", "1 when the node answers for its models.", ["node"], registry=registry
        )
        self._guard = Histogram(
            "opcgate_guard_seconds",
            "Judgements of guard models, failed ones included.",
            ["guard", "direction"],
            buckets=SECONDS,
            registry=registry,
        )
        self._guard_failures = Counter(
            "opcgate_guard_failures",
            "Judgements that guard models did not give.",
            ["guard", "direction", "cause"],
            registry=registry,
        )
        self._rules_stale = Gauge(
            "opcgate_rules_stale",
            "1 while changed rule files cannot be used.",
            registry=registry,
        )
        self._rules_reloads = Gauge(
            "opcgate_rules_reloads", "How often new rules took over since the start.", registry=registry
        )
        self._node_open = Gauge("opcgate_node_open_requests", "Open requests per node.", ["node"], registry=registry)

    def count(self, entry: RequestEntry, ended_at: float) -> None:
        """Count a finished request. An unknown model's name is not a label: callers choose it."""
        model = entry.model or "-"
        self._requests.labels(entry.endpoint, model, entry.outcome).inc()
        self._total.labels(entry.endpoint).observe(ended_at - entry.started_at)
        if entry.first_byte_at is not None:
            self._first_event.labels(model).observe(entry.first_byte_at - entry.started_at)
        if entry.prompt_tokens:
            self._tokens.labels(model, "prompt").inc(entry.prompt_tokens)
        if entry.completion_tokens:
            self._tokens.labels(model, "completion").inc(entry.completion_tokens)
        for one in entry.findings:
            direction = "output" if one["where"].startswith("choices.") else "prompt"
            direction = "check" if entry.endpoint == moderations.ENDPOINT else direction
            self._findings.labels(direction, one["risk"], "dry_run" if one.get("dry_run") else one["action"]).inc()

    def guard_asked(self, guard: str, direction: str, seconds: float, cause: str | None) -> None:
        """Count one judgement of a guard model; `cause` says why it failed, if it did."""
        self._guard.labels(guard, direction).observe(seconds)
        if cause is not None:
            self._guard_failures.labels(guard, direction, cause).inc()

    def exposition(self, nodes: Nodes, rules: Rules) -> bytes:
        """The text that `/metrics` answers with."""
        self._rules_stale.set(rules.problem is not None)
        self._rules_reloads.set(rules.reloads)
        for one in nodes.states():
            self._node_ready.labels(one.name).set(one.ready)
            self._node_open.labels(one.name).set(one.open)
        return generate_latest(self.registry)

"""Prometheus metrics in base units. In a pool of workers any of them answers for all, through files they share."""

import asyncio
import os
from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.background import Background
from gateway.record import RequestEntry, direction_and_action
from gateway.routing.nodes import Nodes
from gateway.rules import Rules
from gateway.workers.worker import Worker

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
SHORT = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5)
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
NODE_STATES = ("active", "cordoned", "draining", "drained", "down")
TICK_SECONDS = 2.0

Metric = TypeVar("Metric", Counter, Gauge, Histogram)
Together = Literal["min", "max", "livesum"]


class Family(Generic[Metric]):
    """A metric's series by labels. The library looks a series up in a hundred times the time that a dict takes."""

    def __init__(self, metric: Metric) -> None:
        self._metric: Metric = metric
        self._series: dict[tuple[str, ...], Metric] = {}

    def __call__(self, *labels: str) -> Metric:
        """The series of these labels."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = self._metric.labels(*labels) if labels else self._metric
        return series


class Metrics:
    """Every metric, in a registry of its own so that two apps in one process don't clash."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests by end.", "endpoint", "model", "outcome")
        self._errors = self._counter("errors", "Requests that were refused or failed, by error code.", "code")
        self._tokens = self._counter("tokens", "Tokens by kind.", "model", "kind")
        self._findings = self._counter("findings", "Findings of the pipeline.", "direction", "risk", "action")
        self._voucher_units = self._counter("voucher_units", "Vouchers spent, in units.", "model")
        self._first_event = self._histogram("time_to_first_event_seconds", "TTFT.", SECONDS, "model")
        self._per_token = self._histogram(
            "time_per_output_token_seconds", "Time between tokens after the first, a request's mean.", SHORT, "model"
        )
        self._total = self._histogram("request_seconds", "Whole requests.", SECONDS, "endpoint")
        self._queue = self._histogram("queue_seconds", "Waiting for a node with room.", SECONDS, "model")
        self._scan = self._histogram("scan_seconds", "Scanning a request's text.", SHORT, "direction")
        self._overhead = self._histogram(
            "overhead_seconds", "The gateway's own work: before the node is asked, and scanning.", SHORT, "endpoint"
        )
        self._settle = self._histogram("settle_seconds", "Committing record, ledger and audit.", SHORT)
        self._guard = self._histogram(
            "guard_seconds", "Judgements of guard models, failed ones included.", SECONDS, "guard", "direction"
        )
        self._guard_failures = self._counter(
            "guard_failures", "Judgements that guard models did not give.", "guard", "direction", "cause"
        )
        self._rules_stale = self._gauge("rules_stale", "1 while changed rule files cannot be used.", "max")
        self._rules_reloads = self._gauge("rules_reloads", "How often new rules took over since the start.", "max")
        self._workers = self._gauge("workers", "Workers that live, on all machines.", "max")
        self._node_ready = self._gauge("node_ready", "1 when the node answers for its models.", "min", "node")
        self._node_state = self._gauge("node_state", "1 for the node's state.", "max", "node", "state")
        self._node_open = self._gauge("node_open_requests", "Open requests per node.", "livesum", "node")
        self._node_capacity = self._gauge("node_capacity", "Requests that a node takes at once.", "max", "node")
        self._node_running = self._gauge("node_running_requests", "Requests that the engine runs.", "max", "node")
        self._node_waiting = self._gauge("node_waiting_requests", "Requests that the engine queues.", "max", "node")
        self._node_cache = self._gauge("node_kv_cache_ratio", "How full the engine's KV cache is.", "max", "node")
        self._background = Background()

    def start(self, nodes: Nodes, rules: Rules, worker: Worker) -> None:
        """Look at nodes, rules and workers every few seconds; call once, inside the event loop."""
        self._background.start(self._look_for_ever(nodes, rules, worker), "metrics")

    async def close(self) -> None:
        """Stop looking."""
        await self._background.close()

    def count(self, entry: RequestEntry, ended_at: float) -> None:
        """Count a finished request. An unknown model's name is not a label: callers choose it."""
        model = entry.model or "-"
        self._requests(entry.endpoint, model, entry.outcome).inc()
        self._total(entry.endpoint).observe(ended_at - entry.started_at)
        if entry.error_code is not None:
            self._errors(entry.error_code).inc()
        if entry.first_byte_at is not None:
            self._count_answer(entry, model, ended_at)
        if entry.scan_seconds:
            self._scan("prompt").observe(entry.scan_seconds)
        if entry.queue_seconds:
            self._queue(model).observe(entry.queue_seconds)
        for kind, tokens in (
            ("prompt", entry.prompt_tokens),
            ("cached", entry.cached_tokens),
            ("completion", entry.completion_tokens),
        ):
            if tokens:
                self._tokens(model, kind).inc(tokens)
        if entry.cost:
            self._voucher_units(model).inc(entry.cost / 1_000_000)
        for one in entry.findings:
            direction, action = direction_and_action(entry.endpoint, one)
            self._findings(direction, one["risk"], action).inc()

    def _count_answer(self, entry: RequestEntry, model: str, ended_at: float) -> None:
        first = entry.first_byte_at or ended_at
        self._first_event(model).observe(first - entry.started_at)
        self._overhead(entry.endpoint).observe(entry.stages.before_the_node() + entry.stages.output_scan)
        if entry.stages.output_scan:
            self._scan("output").observe(entry.stages.output_scan)
        tokens = entry.completion_tokens or 0
        if entry.streamed and tokens > 1:
            self._per_token(model).observe((ended_at - first) / (tokens - 1))

    def settled(self, seconds: float) -> None:
        """A request's record, charge and audit link were committed."""
        self._settle().observe(seconds)

    def guard_asked(self, guard: str, direction: str, seconds: float, cause: str | None) -> None:
        """Count one judgement of a guard model; `cause` says why it failed, if it did."""
        self._guard(guard, direction).observe(seconds)
        if cause is not None:
            self._guard_failures(guard, direction, cause).inc()

    def exposition(self, nodes: Nodes, rules: Rules, worker: Worker) -> bytes:
        """The text that `/metrics` answers with: of every worker on this machine where they share a folder."""
        self._look(nodes, rules, worker)
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    async def _look_for_ever(self, nodes: Nodes, rules: Rules, worker: Worker) -> None:
        while True:
            self._look(nodes, rules, worker)
            await asyncio.sleep(TICK_SECONDS)

    def _look(self, nodes: Nodes, rules: Rules, worker: Worker) -> None:
        self._rules_stale().set(rules.problem is not None)
        self._rules_reloads().set(rules.reloads)
        self._workers().set(worker.alive)
        for one in nodes.states():
            self._node_ready(one.name).set(one.ready)
            self._node_open(one.name).set(one.open)
            self._node_capacity(one.name).set(one.capacity)
            for state in NODE_STATES:
                self._node_state(one.name, state).set(state == one.state)
            for gauge, value in (
                (self._node_running, one.running),
                (self._node_waiting, one.waiting),
                (self._node_cache, one.kv_usage),
            ):
                if value is not None:
                    gauge(one.name).set(value)

    def _counter(self, name: str, help_text: str, *labels: str) -> "Family[Counter]":
        return Family(Counter(f"opcgate_{name}", help_text, labels, registry=self.registry))

    def _histogram(self, name: str, help_text: str, buckets: Sequence[float], *labels: str) -> "Family[Histogram]":
        return Family(Histogram(f"opcgate_{name}", help_text, labels, buckets=buckets, registry=self.registry))

    def _gauge(self, name: str, help_text: str, together: "Together", *labels: str) -> "Family[Gauge]":
        """`together` is how the values of several workers become one."""
        made = Gauge(f"opcgate_{name}", help_text, labels, registry=self.registry, multiprocess_mode=together)
        return Family(made)

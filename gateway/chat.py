"""One request, top to bottom.

authenticate -> reserve -> check the body -> scan the prompt -> pick a node -> stream from vLLM ->
hold-back gate -> guard models -> pseudonyms put back -> label -> settle. `stream=false` takes the same way: its
answer is a stream of one event.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from time import perf_counter

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.pipeline import Pipeline
from compliance.verdict import Finding
from configs.schema import Settings
from gateway.audit.log import AuditLog
from gateway.call import Call
from gateway.errors import InvalidRequest, NodeFailed, PromptRefused
from gateway.guard import AnswerGuard, choices_asked, last_usage
from gateway.guard_client import Judges
from gateway.judging import judge_prompt, judged
from gateway.labelling import Labelling
from gateway.ledger.ledger import Ledger
from gateway.limits.limits import Limits
from gateway.limits.places import Places
from gateway.prompt import scan_prompt
from gateway.record import RequestEntry
from gateway.recorder import Recorder
from gateway.request import CheckedRequest, parse_request
from gateway.restoring import restored
from gateway.routing.nodes import Nodes
from gateway.routing.router import Router
from gateway.rules import Rules
from gateway.scan_turns import ScanTurns
from gateway.scanned import ScannedTexts
from gateway.set_answer import set_answer_events, speaks_chinese
from gateway.settling import settled
from gateway.surfaces.parts import Unscanned
from gateway.surfaces.surface import Rebuild, Surface
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.traces import Traces
from gateway.tenants.caller import Caller
from gateway.tenants.ring import KeyRing
from gateway.tenants.scopes import check_model, check_scope
from gateway.tenants.streams import while_valid
from gateway.tenants.suspension import Suspensions
from gateway.tokens import NOTHING, TokenCounter
from gateway.upstream import Event
from gateway.workers.worker import Worker
from models.catalog import ServedModel


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything a request meets on its way, constructed in `build_app`."""

    settings: Settings
    database: AsyncEngine
    keys: KeyRing
    places: Places
    limits: Limits
    tokens: TokenCounter
    ledger: Ledger
    rules: Rules
    suspensions: Suspensions
    judges: Judges
    labelling: Labelling
    nodes: Nodes
    router: Router
    recorder: Recorder
    worker: Worker
    metrics: Metrics
    trace: Traces | None
    clock: Callable[[], float]
    max_choices: int
    scanned: ScannedTexts
    scans: ScanTurns
    parts: Unscanned
    audit: AuditLog

    @property
    def pipeline(self) -> Pipeline:
        """The default policy's pipeline."""
        return self.rules.default.pipeline


async def answer(surface: Surface, gateway: Gateway, call: Call, entry: RequestEntry) -> AsyncGenerator[Event]:
    """Serve one request as events that are safe to send; the row is settled before the last byte goes out.

    Raises GatewayError, before the first event or between two. Close it to abort the request on the node.
    """
    async with settled(gateway, entry):
        entry.stages.enter("authenticate")
        caller = call.caller or await gateway.keys.authenticate(call.credentials, call.address)
        entry.of(caller)
        check_scope(caller, entry.endpoint)
        entry.stages.enter("check")
        with gateway.places.reserve(caller):
            request, model = await checked(gateway, surface, call, caller, entry)
            label = gateway.labelling.begin(request, caller, entry)
            rules = await gateway.rules.of(caller, model.id)
            entry.under(rules)
            gateway.audit.texts.begin(request.body, entry)
            entry.rules_version += gateway.judges.version
            estimate = await gateway.tokens.estimate(request, model) if surface.billed else NOTHING
            entry.stages.enter("reserve")
            async with gateway.limits.admitted(caller, model, estimate, entry):
                if surface.billed:
                    entry.hold = await gateway.ledger.hold(caller, model, estimate)
                entry.stages.enter("scan prompt")
                prompt = await scan_prompt(rules.pipeline, request, entry, gateway.scanned, gateway.scans)
                entry.stages.enter("answer")
                if prompt.replaced is not None:
                    if surface.kind != "generate":
                        raise no_set_answer(prompt.replaced)
                    for event in instead(gateway, request, rules.pipeline, prompt.replaced, entry):
                        yield event
                    return
                judges = gateway.judges.under(rules.policy, gateway.metrics.guard_asked)
                if judges.prompt:
                    entry.stages.enter("judge prompt")
                    await judge_prompt(judges.prompt, request, entry)
                    entry.stages.enter("answer")
                raw = gateway.router.events(request, model, caller, entry)
                if surface.rebuild is not None:
                    yield await rebuilt(surface.rebuild, gateway, rules.pipeline, request, entry, raw)
                    return
                if surface.decode is not None:
                    raw = surface.decode(raw, model.base.context_tokens)
                safe = guarded(rules.pipeline, request, entry, raw)
                if judges.output:
                    safe = judged(safe, judges.output, request, entry)
                if prompt.pseudonyms is not None:
                    safe = restored(safe, prompt.pseudonyms)
                if request.stream and gateway.settings.tenants.cut_streams_on_revoke:
                    safe = while_valid(safe, gateway.keys, call)
                async with aclosing(safe) as events:
                    async for event in events:
                        if entry.keeping:
                            entry.keeping.add(event)
                        if entry.first_byte_at is None:
                            entry.first_byte_at = gateway.clock()
                        for labelled in label.apply(event):
                            yield labelled
                for labelled in label.finish():
                    yield labelled


async def checked(
    gateway: Gateway, surface: Surface, call: Call, caller: Caller, entry: RequestEntry
) -> tuple[CheckedRequest, ServedModel]:
    """The request, well formed and for a model that exists for this key."""
    request = parse_request(surface, await call.read_body(), max_choices=gateway.max_choices, parts=gateway.parts)
    entry.streamed = request.stream
    if request.unscanned_parts:
        entry.note = "passed on without a scan: " + ", ".join(request.unscanned_parts)
    call.on_checked(request)
    model = gateway.nodes.resolve(request.model)
    check_model(caller, model.id, request.model)
    _reject_other_kind(surface, model)
    entry.model = model.id
    entry.model_digest = model.digest
    return request, model


def _reject_other_kind(surface: Surface, model: ServedModel) -> None:
    """A model that makes vectors doesn't write, and the other way round."""
    if surface.kind != "tokens" and surface.kind != model.base.kind:
        path = {"embed": "/v1/embeddings", "generate": "/v1/chat/completions"}[model.base.kind]
        raise InvalidRequest(
            f"The model '{model.id}' can't be called here; call {path} with it. 该模型不支持此接口。", param="model"
        )


def instead(
    gateway: Gateway, request: CheckedRequest, pipeline: Pipeline, replaced: Finding, entry: RequestEntry
) -> Iterator[Event]:
    """The set answer to a prompt that the policy replaces; no node is asked."""
    entry.outcome = "replaced"
    entry.first_byte_at = gateway.clock()
    text = pipeline.answers.text(replaced.risk, chinese=speaks_chinese(request)) if pipeline.answers else ""
    yield from set_answer_events(request, text, choices_asked(request.body), entry, gateway.clock())


def no_set_answer(replaced: Finding) -> PromptRefused:
    """The refusal of a prompt that the policy replaces, where no text can be answered in its place."""
    return PromptRefused(
        f"The prompt was refused by the content policy: {replaced.risk} ({replaced.type}). "
        "提示词违反内容安全策略，请修改后重试。"
    )


async def rebuilt(
    rebuild: Rebuild,
    gateway: Gateway,
    pipeline: Pipeline,
    request: CheckedRequest,
    entry: RequestEntry,
    raw: AsyncGenerator[Event],
) -> Event:
    """The node's one answer that isn't text as it comes (vectors, token ids), built anew from named fields."""
    async with aclosing(raw) as events:
        async for event in events:
            entry.first_byte_at = gateway.clock()
            answer = rebuild(event, request, pipeline, entry)
            entry.outcome = "completed"
            return answer
    raise NodeFailed("The model's node answered nothing; try again.")


async def guarded(
    pipeline: Pipeline, request: CheckedRequest, entry: RequestEntry, raw: AsyncGenerator[Event]
) -> AsyncGenerator[Event]:
    """The node's events with only what the pipeline lets through."""
    guard, stages = AnswerGuard(pipeline, request, entry), entry.stages
    async with aclosing(raw) as events:
        asked_at = perf_counter()
        async for event in events:
            came_at = perf_counter()
            stages.upstream += came_at - asked_at
            safe = guard.apply(event)
            stages.output_scan += perf_counter() - came_at
            if safe is not None:
                yield safe
            if guard.cut:
                break  # leaving the block closes the stream, and the node aborts what is left
            asked_at = perf_counter()
        else:
            rest = guard.finish()
            if rest is not None:
                yield rest
    entry.outcome = "cut" if guard.any_cut else "completed"
    if guard.cut and request.stream and request.include_usage:
        yield last_usage(request, entry)

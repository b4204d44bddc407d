"""Construction: `build_app` makes everything a worker needs, and nothing else does."""

import gc
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from compliance.build import build_rules, shipped_classifier
from compliance.guards.build import build_guards
from compliance.guards.guard import Guard
from compliance.labels.ids import new_content_id
from compliance.labels.labels import build_labels
from configs.loader import SettingsError, load_catalog
from configs.schema import Settings
from gateway import health
from gateway.audit.log import running_log
from gateway.chat import Gateway, answer
from gateway.control import document
from gateway.control.routes import PREFIX, ROUTERS
from gateway.endpoint import Answer, SettledEndpoint
from gateway.errors import GatewayError, InvalidRequest, MethodNotAllowed, NotFound
from gateway.files import api as files_api
from gateway.files.offline import BATCHED, running_offline
from gateway.files.runner import BatchEndpoint
from gateway.from_catalog import with_catalog
from gateway.group_commit import GroupPart, group_writer
from gateway.guard_client import guard_keys, open_judges
from gateway.hot_paths import HotPaths
from gateway.labelling import Labelling
from gateway.ledger.upkeep import running_ledger
from gateway.limits.fair import FairTurns
from gateway.limits.limits import Limits
from gateway.limits.places import Places
from gateway.limits.shares import Shares
from gateway.limits.subjects import LimitBook
from gateway.moderation_categories import shipped_categories
from gateway.moderations import Moderations
from gateway.recorder import Recorder
from gateway.reports.queue import retain_reports
from gateway.request import SURFACES
from gateway.routing.nodes import Nodes
from gateway.routing.overflow import Overflow, provider_keys
from gateway.routing.router import Router
from gateway.routing.sync import NodeSync
from gateway.rules import Rules
from gateway.scan_turns import ScanTurns
from gateway.scanned import ScannedTexts
from gateway.store import migrate, open_engine
from gateway.surfaces import moderations as moderation_surface
from gateway.surfaces.anthropic import shape as messages
from gateway.surfaces.anthropic.wire import AnthropicErrors
from gateway.surfaces.openapi import documented
from gateway.surfaces.wire import Wire
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.sums import DailySums
from gateway.telemetry.traces import running_traces
from gateway.tenants.ring import KeyRing
from gateway.tenants.suspension import Suspensions
from gateway.tokens import TokenCounter
from gateway.upstream import HttpTransport, Transport
from gateway.workers.worker import Worker
from models.catalog import Catalog, ServedModel

log = logging.getLogger("opcgate.app")
ZERO_CHARACTERS = ("22021", "22P05")
"""What PostgreSQL answers to zero characters, in text and in JSON: it keeps none."""


def build_app(
    settings: Settings, *, transport: Transport | None = None, clock: Callable[[], float] = time.time
) -> FastAPI:
    """The gateway as an ASGI application. `transport` and `clock` are the seams for tests."""
    catalog = Catalog(load_catalog(settings.catalog))
    wanted = dict.fromkeys(model for node in settings.nodes for model in node.models)
    served = catalog.served(tuple(wanted))
    _reject_unserved(settings.compliance.models, served)
    settings = with_catalog(settings, catalog.settings)
    guard_names = frozenset(one.name for one in settings.guards)
    rules = Rules(settings.compliance, build=partial(build_rules, guards=guard_names))
    guards = build_guards(settings.guards)
    secrets = guard_keys(guards)
    labelling = Labelling(build_labels(settings.labels), settings.labels)
    moderations = Moderations(
        shipped_categories(),
        settings.moderations,
        Places(settings.moderations.concurrent_requests_per_key),
        shipped_classifier().scores,
    )
    provider_keys(settings.routing)
    hot: dict[str, ASGIApp] = {}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running_gateway(settings, rules, guards, secrets, labelling, served, transport, clock) as gateway:
            app.state.gateway = gateway
            app.state.started_at = clock()
            answers: list[tuple[tuple[str, ...], str, Answer, Callable[[], Wire]]] = [
                *(((one.path, *one.aliases), one.endpoint, partial(answer, one), one.wire) for one in SURFACES),
                ((moderation_surface.PATH,), moderation_surface.ENDPOINT, moderations.answer, Wire),
            ]
            for paths, name, answered_by, wire in answers:
                endpoint = SettledEndpoint(gateway, name, answered_by, settings.listen.max_body_bytes, wire)
                app.router.routes += [Route(path, endpoint=endpoint, methods=["POST"]) for path in paths]
                hot.update(dict.fromkeys(paths, endpoint))
            batched = {
                paths[0]: BatchEndpoint(name, partial(answered_by, gateway), wire)
                for paths, name, answered_by, wire in answers
                if paths[0] in BATCHED
            }
            async with running_offline(gateway, batched, clock) as app.state.offline:
                yield

    app = FastAPI(title="opcgate", version="0.1.0", lifespan=lifespan)
    app.include_router(health.router)
    app.include_router(files_api.router)
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX)
    document.install(app, partial(documented, surfaces=SURFACES))
    app.add_middleware(HotPaths, paths=hot)
    for kind in (GatewayError, RequestValidationError, HTTPException, DBAPIError, Exception):
        app.add_exception_handler(kind, _error_response)
    return app


def _reject_unserved(policies: dict[str, str], served: dict[str, ServedModel]) -> None:
    """A policy for a model that nobody serves is a misspelt id, and the model meant would go without its policy.

    Variants have the policy of the model that they are of.
    """
    known = {one for model in served.values() for one in (model.id, model.own_id)}
    for model in policies:
        if model not in known:
            raise SettingsError(f"compliance.models.{model}: no node serves this model; use one of {', '.join(served)}")


@asynccontextmanager
async def running_gateway(
    settings: Settings,
    rules: Rules,
    guards: tuple[Guard, ...],
    secrets: dict[str, str],
    labelling: Labelling,
    served: dict[str, ServedModel],
    transport: Transport | None,
    clock: Callable[[], float],
) -> AsyncIterator[Gateway]:
    """What lives inside the event loop: database, connections, probes, the recorder; closed in reverse order."""
    rules.warm_up()
    await migrate(settings.database)
    async with AsyncExitStack() as stack:
        engine = open_engine(settings.database)
        stack.push_async_callback(engine.dispose)
        wire = transport or HttpTransport.open(settings.upstream)
        stack.push_async_callback(wire.close)
        judges = await stack.enter_async_context(open_judges(guards, secrets))
        worker = Worker(engine, settings.workers, clock)
        await worker.start()
        stack.push_async_callback(worker.close)
        tokens = TokenCounter()
        await tokens.warm_up(list(served.values()))
        ledger = await stack.enter_async_context(
            running_ledger(engine, settings.ledger, settings.workers, worker, tokens, clock)
        )
        also_retained = [partial(retain_reports, engine, settings.reports, f"worker:{worker.id}")]
        audit = await stack.enter_async_context(running_log(settings.audit, engine, worker.id, clock, also_retained))
        parts: list[GroupPart] = [ledger.part, audit.chain, DailySums(settings.telemetry.statistics_utc_offset_hours)]
        write_group = stack.enter_context(group_writer(settings.database, engine, parts))
        recorder = Recorder(write_group, settings.audit.held_records, settings.database.wait_seconds)
        recorder.start()
        stack.push_async_callback(recorder.close)
        overflow = Overflow(settings.routing, settings.upstream) if settings.routing.providers else None
        if overflow:
            stack.push_async_callback(overflow.close)
        catalog = Catalog(load_catalog(settings.catalog))
        nodes = Nodes(settings.nodes, served, wire, settings.upstream, settings.routing, catalog=catalog)
        nodes.start()
        stack.push_async_callback(nodes.close)
        sync = NodeSync(engine, nodes, worker)
        await sync.start()
        stack.push_async_callback(sync.close)
        keys = KeyRing(engine, settings.database.key_cache_seconds, clock, settings.tenants)
        keys.start()
        stack.push_async_callback(keys.close)
        shares = Shares(engine, worker.id, lambda: worker.alive, settings.workers.dead_after_seconds)
        limits = Limits(settings.limits, LimitBook(settings.limits, engine), shares, lambda: worker.alive, clock)
        await limits.start()
        stack.push_async_callback(limits.close)
        metrics = Metrics()
        metrics.start(nodes, rules, worker)
        stack.push_async_callback(metrics.close)
        trace = stack.enter_context(running_traces(settings.telemetry, worker.id))
        turns = FairTurns(settings.routing, settings.limits.weights, time.monotonic)
        scans = ScanTurns(settings.limits.scan_threads)
        stack.callback(scans.close)
        suspensions = Suspensions(engine, clock, settings.tenants.violations_suspend)
        stack.push_async_callback(suspensions.close)
        rules.start()
        stack.push_async_callback(rules.close)
        # What start-up made stays for good; a full collection that walks it would stop every stream for a while.
        gc.collect()
        gc.freeze()
        yield Gateway(
            settings=settings,
            database=engine,
            keys=keys,
            places=Places(settings.limits.concurrent_requests_per_key),
            limits=limits,
            tokens=tokens,
            ledger=ledger,
            rules=rules,
            suspensions=suspensions,
            judges=judges,
            labelling=labelling,
            nodes=nodes,
            router=Router(nodes, wire, turns, overflow),
            recorder=recorder,
            worker=worker,
            metrics=metrics,
            trace=trace,
            clock=clock,
            max_choices=settings.limits.choices_per_request,
            scanned=ScannedTexts(settings.compliance.remembered_texts, settings.compliance.remembered_bytes),
            scans=scans,
            parts=settings.compliance.unscannable_parts,
            audit=audit,
        )


async def _error_response(request: Request, error: Exception) -> Response:
    """OpenAI's error body for everything that isn't a 2xx, the framework's own refusals included; Anthropic's there."""
    refusal = _as_gateway_error(request, error)
    path = request.url.path
    wire = AnthropicErrors() if path == messages.PATH or path.startswith(f"{messages.PATH}/") else Wire()
    headers = [*refusal.headers(), *wire.headers("req_" + new_content_id(time.time()))]
    response = Response(wire.refusal(refusal), refusal.status, media_type="application/json")
    for name, value in headers:
        response.headers[name.decode()] = value.decode()
    if isinstance(error, HTTPException):
        response.headers.update(error.headers or {})  # a 405 says which methods there are
    return response


def _as_gateway_error(request: Request, error: Exception) -> GatewayError:
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        return InvalidRequest(f"Field '{path}': {first['msg']}. 字段无效。", param=path)
    if isinstance(error, HTTPException) and error.status_code == 404:
        return NotFound(f"No such path: {request.method} {request.url.path[:200]}. 路径不存在。")
    if isinstance(error, HTTPException) and error.status_code == 405:
        return MethodNotAllowed(f"{request.method} isn't allowed on {request.url.path[:200]}. 不支持该方法。")
    if isinstance(error, HTTPException) and error.status_code == 400:
        return InvalidRequest("The body isn't JSON in UTF-8; send it so. 请求体须为 UTF-8 编码的 JSON。", param="body")
    if isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in ZERO_CHARACTERS:
        return InvalidRequest("The body holds a zero character, which can't be stored; leave it out. 请删去空字符。")
    log.error("unexpected error on %s", request.url.path, exc_info=error)
    return GatewayError("Something went wrong here. 服务内部错误。")

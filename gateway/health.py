"""Health, readiness, metrics and the model list: the small read-only routes."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from gateway.chat import Gateway
from gateway.control.access import caller_of
from gateway.errors import UnknownModel
from gateway.routing.node import NodeState
from gateway.tenants.caller import Caller
from gateway.tenants.scopes import check_model, check_scope
from models.catalog import ServedModel

router = APIRouter()


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


@router.get("/livez", tags=["health"])
@router.get("/health", tags=["health"])
async def live() -> dict[str, str]:
    """The process runs and its event loop turns."""
    return {"status": "ok"}


@router.get("/readyz", tags=["health"])
async def ready(request: Request, response: Response) -> dict[str, Any]:
    """200 once every node has answered a one-token completion for each of its models, else 503.

    `rules.stale`: changed rule files cannot be used, and the rules before them are in force.
    """
    gateway = _gateway(request)
    nodes = {one.name: _readiness(one) for one in gateway.nodes.states()}
    if not gateway.nodes.all_ready:
        response.status_code = 503
    rules = {"version": gateway.pipeline.version, "stale": gateway.rules.problem is not None}
    return {"status": "ready" if gateway.nodes.all_ready else "waiting", "nodes": nodes, "rules": rules}


def _readiness(node: NodeState) -> str:
    """`ready`, `waiting` for an active node that doesn't answer for all its models, else what operators want of it."""
    return "ready" if node.ready else "waiting" if node.state in ("active", "down") else node.state


@router.get("/metrics", tags=["health"])
async def metrics(request: Request) -> Response:
    """Prometheus text exposition."""
    gateway = _gateway(request)
    text = gateway.metrics.exposition(gateway.nodes, gateway.rules, gateway.worker)
    return Response(text, media_type="text/plain; version=0.0.4")


async def _caller(request: Request) -> Caller:
    """For routes that need a valid key of the endpoint's scope."""
    caller = await caller_of(request)
    check_scope(caller, "models")
    return caller


@router.get("/v1/models", tags=["models"])
async def list_models(request: Request, caller: Annotated[Caller, Depends(_caller)]) -> dict[str, Any]:
    """The models that this key can call now."""
    available = _gateway(request).nodes.available()
    started = int(request.app.state.started_at)
    return {"object": "list", "data": [_described(model, started) for model in available if caller.may_use(model.id)]}


@router.get("/v1/models/{model_id:path}", tags=["models"])
async def get_model(model_id: str, request: Request, caller: Annotated[Caller, Depends(_caller)]) -> dict[str, Any]:
    """One model by id; ids may contain slashes."""
    gateway = _gateway(request)
    model = gateway.nodes.resolve(model_id)
    check_model(caller, model.id, model_id)
    if model not in gateway.nodes.available():
        raise UnknownModel(f"The model '{model.id}' isn't available now. 模型暂不可用。", param="model")
    return _described(model, int(request.app.state.started_at))


def _described(model: ServedModel, created: int) -> dict[str, Any]:
    about = model.adapter or model.base
    return {
        "id": model.id,
        "object": "model",
        "created": created,
        "owned_by": "opcgate",
        "root": model.base.id,
        "parent": model.parent,
        "max_model_len": model.base.context_tokens,
        "digest": f"sha256:{model.digest}",
        "quantization": model.quantization,
        "vertical": model.vertical,
        "description": {"zh": about.description_zh, "en": about.description_en},
    }

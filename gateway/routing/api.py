"""Control routes of the engine nodes."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from configs.loader import load_catalog
from configs.sections.routing import NodeSettings
from gateway.control.access import Actor, gateway_of, nothing_here, require
from gateway.control.paging import After, Limit, Page
from gateway.errors import InvalidRequest
from gateway.routing.node import Wish
from gateway.routing.overview import NodeInfo, overview
from gateway.routing.registry import add_node, remove_node, set_wish

router = APIRouter(prefix="/nodes", tags=["nodes"])
Operator = Annotated[Actor, Depends(require("operator"))]
Name = Annotated[str, Path(max_length=50, description="The node's name. / 节点名称。")]


@router.get("", summary="List the engine nodes with their state and load. / 列出推理节点。")
async def list_nodes(request: Request, _actor: Operator, limit: Limit = 100, after: After = None) -> Page[NodeInfo]:
    nodes = await _all(request)
    if after is not None:
        names = [one.name for one in nodes]
        if after not in names:
            raise InvalidRequest("Field 'after' isn't the name of a node. after 须为节点名称。", param="after")
        nodes = nodes[names.index(after) + 1 :]
    return Page(data=nodes[:limit], has_more=len(nodes) > limit)


@router.post("", status_code=201, summary="Add a node; workers use it within seconds. / 新增节点。")
async def create_node(request: Request, actor: Operator, body: NodeSettings) -> NodeInfo:
    gateway = gateway_of(request)
    configured, catalog = gateway.nodes.configured, load_catalog(gateway.settings.catalog)
    await add_node(gateway.database, body, configured, catalog, actor.name)
    return await _one(request, body.name)


@router.get("/{name}", summary="Read a node. / 查看节点。")
async def read_node(request: Request, _actor: Operator, name: Name) -> NodeInfo:
    return await _one(request, name)


@router.delete(
    "/{name}", status_code=204, summary="Remove an added node; requests on it end as they would. / 移除节点。"
)
async def delete_node(request: Request, actor: Operator, name: Name) -> None:
    gateway = gateway_of(request)
    await remove_node(gateway.database, name, gateway.nodes.configured, actor.name)


@router.post("/{name}/cordon", summary="Send no new requests to a node. / 停止向节点派发新请求。")
async def cordon(request: Request, actor: Operator, name: Name) -> NodeInfo:
    return await _change(request, actor, name, "cordoned")


@router.post("/{name}/uncordon", summary="Send requests to a node again. / 恢复节点。")
async def uncordon(request: Request, actor: Operator, name: Name) -> NodeInfo:
    return await _change(request, actor, name, "active")


@router.post("/{name}/drain", summary="Cordon a node; it is drained once it is empty. / 排空节点。")
async def drain(request: Request, actor: Operator, name: Name) -> NodeInfo:
    return await _change(request, actor, name, "draining")


async def _change(request: Request, actor: Actor, name: str, wish: Wish) -> NodeInfo:
    gateway = gateway_of(request)
    await set_wish(gateway.database, name, wish, gateway.nodes.configured, actor.name)
    return await _one(request, name)


async def _all(request: Request) -> list[NodeInfo]:
    gateway = gateway_of(request)
    return await overview(gateway.database, gateway.nodes.configured)


async def _one(request: Request, name: str) -> NodeInfo:
    found = next((one for one in await _all(request) if one.name == name), None)
    if found is None:
        raise nothing_here()
    return found

"""`/v1/files` and `/v1/batches`, in OpenAI's shape. An organisation sees what is its own and nothing else."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Query, Request, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import Field, StrictStr

from gateway.control.access import caller_of
from gateway.errors import InvalidRequest
from gateway.files.batch_input import check_lines
from gateway.files.batches import Batches, Counts
from gateway.files.files import PIECE_BYTES, UPLOADED, Files, Owner
from gateway.files.runner import BatchEndpoint
from gateway.files.tables import BatchRow, FileRow
from gateway.moments import unix
from gateway.surfaces.shape import Shape
from gateway.tenants.organisations import DEFAULT
from gateway.tenants.scopes import check_scope

router = APIRouter(prefix="/v1")
LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Offline:
    """What the routes need, constructed in `build_app`."""

    files: Files
    batches: Batches
    endpoints: Mapping[str, BatchEndpoint]
    batch_lines: int


def _offline(request: Request) -> Offline:
    offline: Offline = request.app.state.offline
    return offline


async def _owner(request: Request) -> Owner:
    """Whose files they are. Raises Unauthorized, Forbidden."""
    caller = await caller_of(request)
    check_scope(caller, "files")
    return Owner(caller.tenant or DEFAULT, caller.key_id)


Mine = Annotated[Owner, Depends(_owner)]
Here = Annotated[Offline, Depends(_offline)]
Limit = Annotated[int, Query(ge=1, le=100)]
After = Annotated[str | None, Query(max_length=60)]


@router.post("/files", tags=["files"], summary="Upload a file / 上传文件")
async def upload(
    owner: Mine,
    here: Here,
    file: Annotated[UploadFile, File()],
    purpose: Annotated[str, Form()],
) -> dict[str, Any]:
    """Store a JSONL file of requests for a batch."""
    if purpose != UPLOADED:
        raise InvalidRequest("purpose must be 'batch'. purpose 只能为 batch。", param="purpose")
    name = (file.filename or "file.jsonl")[-LONGEST_NAME:]
    return _file(await here.files.add(owner, name, purpose, _pieces(file)))


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(PIECE_BYTES):
        yield piece


@router.get("/files", tags=["files"], summary="List files / 列出文件")
async def list_files(
    owner: Mine, here: Here, purpose: str | None = None, after: After = None, limit: Limit = 20
) -> dict[str, Any]:
    """Your organisation's files, newest first."""
    found = await here.files.listed(owner.tenant, purpose=purpose, after=after, limit=limit + 1)
    return _page([_file(one) for one in found], limit)


@router.get("/files/{file_id}", tags=["files"], summary="Describe a file / 查看文件")
async def get_file(owner: Mine, here: Here, file_id: str) -> dict[str, Any]:
    """A file without its content."""
    return _file(await here.files.get(owner.tenant, file_id))


@router.get("/files/{file_id}/content", tags=["files"], summary="Download a file / 下载文件")
async def get_content(owner: Mine, here: Here, file_id: str) -> StreamingResponse:
    """The content of a file."""
    row = await here.files.get(owner.tenant, file_id)
    headers = {"content-length": str(row.size)}
    return StreamingResponse(here.files.content(row), media_type="application/jsonl", headers=headers)


@router.delete("/files/{file_id}", tags=["files"], summary="Delete a file / 删除文件")
async def delete_file(owner: Mine, here: Here, file_id: str) -> dict[str, Any]:
    """Delete a file; batches made of it go on."""
    await here.files.delete(owner.tenant, file_id)
    return {"id": file_id, "object": "file", "deleted": True}


class BatchRequestBody(Shape):
    """The body of a new batch."""

    input_file_id: StrictStr
    endpoint: StrictStr
    completion_window: Literal["24h"]
    metadata: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]] | None = Field(
        None, max_length=16
    )


@router.post("/batches", tags=["batches"], summary="Start a batch / 创建批次")
async def create_batch(owner: Mine, here: Here, body: BatchRequestBody) -> dict[str, Any]:
    """Run every request of an uploaded file at low priority, within 24 hours."""
    if body.endpoint not in here.endpoints:
        raise InvalidRequest(
            f"endpoint must be one of {', '.join(here.endpoints)}. endpoint 请用上述值之一。", param="endpoint"
        )
    row = await here.files.get(owner.tenant, body.input_file_id)
    if row.purpose != UPLOADED:
        raise InvalidRequest("input_file_id must be an uploaded file. 请使用上传的文件。", param="input_file_id")
    checked = await check_lines(here.files.content(row), body.endpoint, here.batch_lines)
    batch_id = await here.batches.add(owner, body.endpoint, row.id, checked, body.metadata or {})
    return _batch(*await here.batches.get(owner.tenant, batch_id))


@router.get("/batches", tags=["batches"], summary="List batches / 列出批次")
async def list_batches(owner: Mine, here: Here, after: After = None, limit: Limit = 20) -> dict[str, Any]:
    """Your organisation's batches, newest first."""
    found = await here.batches.listed(owner.tenant, after=after, limit=limit + 1)
    return _page([_batch(*one) for one in found], limit)


@router.get("/batches/{batch_id}", tags=["batches"], summary="Describe a batch / 查看批次")
async def get_batch(owner: Mine, here: Here, batch_id: str) -> dict[str, Any]:
    """How far a batch is."""
    return _batch(*await here.batches.get(owner.tenant, batch_id))


@router.post("/batches/{batch_id}/cancel", tags=["batches"], summary="Cancel a batch / 取消批次")
async def cancel_batch(owner: Mine, here: Here, batch_id: str) -> dict[str, Any]:
    """Give up the lines that wait; results so far are kept."""
    await here.batches.cancel(owner.tenant, batch_id)
    return _batch(*await here.batches.get(owner.tenant, batch_id))


def _page(items: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """A page, and whether there is more; one item more than asked for was looked up to know."""
    shown = items[:limit]
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {"first_id": None, "last_id": None}
    return {"object": "list", "data": shown, "has_more": len(items) > limit} | ends


def _file(row: FileRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "object": "file",
        "bytes": row.size,
        "created_at": _unix(row.created_at),
        "expires_at": _unix(row.expires_at),
        "filename": row.name,
        "purpose": row.purpose,
        "status": "processed",
    }


def _batch(row: BatchRow, counts: Counts) -> dict[str, Any]:
    ended = {row.status: _unix(row.ended_at)}
    return {
        "id": row.id,
        "object": "batch",
        "endpoint": row.endpoint,
        "errors": {"object": "list", "data": row.errors} if row.errors else None,
        "input_file_id": row.input_file,
        "completion_window": "24h",
        "status": row.status,
        "output_file_id": row.output_file,
        "error_file_id": row.error_file,
        "created_at": _unix(row.created_at),
        "in_progress_at": None if row.status == "failed" else _unix(row.created_at),
        "expires_at": _unix(row.expires_at),
        "finalizing_at": _unix(row.finalizing_at),
        "completed_at": ended.get("completed"),
        "failed_at": ended.get("failed"),
        "expired_at": ended.get("expired"),
        "cancelling_at": None,
        "cancelled_at": ended.get("cancelled"),
        "request_counts": {"total": counts.total, "completed": counts.completed, "failed": counts.failed},
        "metadata": row.note or None,
    }


def _unix(moment: datetime | None) -> int | None:
    return None if moment is None else int(unix(moment))

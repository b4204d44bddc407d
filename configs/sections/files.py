"""Settings of files and batches."""

from pydantic import Field

from configs.strict import Strict


class FileSettings(Strict):
    """Files that callers upload, and the batches made of them. Content is encrypted under the keys of `audit`.

    A batch works at low priority: each worker has at most `batch_requests_at_once` of its lines open, and only while
    its other open requests are fewer than `batch_yields_at`.
    """

    max_bytes: int = Field(64 * 1024 * 1024, ge=1024)
    bytes_per_tenant: int = Field(1024 * 1024 * 1024, ge=1024)
    keep_days: float = Field(30.0, gt=0)
    batch_lines: int = Field(50_000, ge=1)
    open_batches_per_tenant: int = Field(16, ge=1)
    batch_requests_at_once: int = Field(8, ge=1)
    batch_yields_at: int = Field(32, ge=1)
    batch_attempts: int = Field(8, ge=1)
    batch_poll_seconds: float = Field(1.0, gt=0)

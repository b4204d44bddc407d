"""Logs as JSON lines: one object per event, with the request's id where there is one and never user text."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import orjson

from configs.schema import Settings
from gateway.record import RequestEntry

TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
REQUEST = "req_"
log = logging.getLogger("opcgate.requests")


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON. Fields given as `extra={"fields": {...}}` stand beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request = request_of_task()
        if request is not None:
            line["request_id"] = request
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def request_of_task() -> str | None:
    """The id of the request that the running task serves: the endpoint names its tasks so."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    name = task.get_name() if task else ""
    return name if name.startswith(REQUEST) else None


def log_request(entry: RequestEntry, ended_at: float) -> None:
    """One line about a finished request: who, what, how it ended. No text."""
    fields = {
        "request_id": entry.id,
        "key": entry.key_id,
        "tenant": entry.tenant,
        "endpoint": entry.endpoint,
        "model": entry.model,
        "node": entry.node,
        "outcome": entry.outcome,
        "error": entry.error_code,
        "prompt_tokens": entry.prompt_tokens,
        "completion_tokens": entry.completion_tokens,
        "findings": len(entry.findings),
        "seconds": round(ended_at - entry.started_at, 4),
    }
    log.info("request", extra={"fields": fields})


def set_up_logging(settings: Settings) -> None:
    """Send all logs to standard error in the settings' form."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if settings.telemetry.log_format == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)

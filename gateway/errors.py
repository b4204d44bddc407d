"""Every way a request can be refused, as one tree, and the OpenAI error body each becomes.

GatewayError
├── InvalidRequest          400  the body breaks the schema, or the engine says so
│   ├── ContextTooLong      400  prompt and answer don't fit the model's context
│   ├── BodyTooLarge        413
│   ├── UnknownModel        404
│   ├── NotFound            404  no such path
│   ├── MethodNotAllowed    405
│   ├── NotRedeemable       400  a redeem code that gives nothing (gateway/ledger/codes.py)
│   ├── Forbidden           403  a valid key that may not do this
│   └── LabelAgreementRequired 403  an answer without visible label, and no recorded agreement
├── Unauthorized            401  no key, unknown key, revoked or expired key
│   └── KeySuspended        403  it broke the policy too often, or an operator says so
├── PromptRefused           400  the compliance pipeline blocks the prompt
├── RateLimited             429  too many requests at once, or in this minute
│   └── TooManyReports      429  too many complaints from one address (gateway/reports/intake.py)
├── QuotaSpent              429  vouchers or a free allowance are used up; not to be retried
├── Overloaded              429  the nodes and the queue before them are full
├── ScanFailed              503  a scanner failed: nothing was let through
├── PolicyUnavailable       503  the policy of the key or model can't be used
├── RecordFailed            503  the request's record can't be committed; nothing was given and nothing is charged
├── RecordPending           503  a stream was given whole, and its record waits for the database
├── DirectoryUnavailable    503  the database is away, and this key isn't known here
├── TextUnreadable          500  a kept text can't be decrypted (gateway/audit/api.py)
├── NodeUnavailable         503  no node can take the request
│   ├── ModelNotThere       503  the node doesn't have the model any more (gateway/upstream.py)
│   ├── NodeRefused         503  the node says that it takes no requests now
│   └── ShuttingDown        503  this gateway is being stopped
├── NodeFailed              502  the node died or answered nonsense
└── NodeTimeout             504  the node took too long

SDKs retry 408, 409, 429 and 5xx, so permanent failures use none of these (see docs/api.md).
"""

from typing import ClassVar

import orjson


class ClientGone(Exception):
    """The client closed its connection before the answer was complete: nobody is left to be told."""


class GatewayError(Exception):
    """Root of the tree. `message` is for the caller: it never holds a stack trace or a node's address."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = None
    retry_after_seconds: ClassVar[int | None] = None

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param

    def body(self) -> bytes:
        """OpenAI's error body: `{"error": {"message", "type", "param", "code"}}`."""
        return orjson.dumps(self.content())

    def content(self) -> dict[str, object]:
        """The same as a dict, for an in-band error event."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers that tell an SDK whether and when to try again."""
        if self.retry_after_seconds is None:
            return []
        return [(b"retry-after", str(self.retry_after_seconds).encode())]


class InvalidRequest(GatewayError):
    """The request can't be served as it is; `param` names the field to mend."""

    status = 400
    type = "invalid_request_error"


class ContextTooLong(InvalidRequest):
    """Prompt and answer together are longer than the model's context."""

    code = "context_length_exceeded"


class BodyTooLarge(InvalidRequest):
    """The body is over `listen.max_body_bytes`."""

    status = 413
    code = "request_too_large"


class UnknownModel(InvalidRequest):
    """The model isn't served here, or not to this key."""

    status = 404
    code = "model_not_found"

    @classmethod
    def named(cls, model: str) -> "UnknownModel":
        """The one answer for a model that isn't served and for one that this key may not call."""
        known = "GET /v1/models lists what does. 模型不存在。"
        return cls(f"The model '{model[:100]}' does not exist here; {known}", param="model")


class NotFound(InvalidRequest):
    """No such path."""

    status = 404
    code = "not_found"


class MethodNotAllowed(InvalidRequest):
    """The path exists, the method doesn't."""

    status = 405
    code = "method_not_allowed"


class LabelAgreementRequired(InvalidRequest):
    """The caller asks for an answer without visible label, and its key has no recorded agreement in force."""

    status = 403
    type = "permission_error"
    code = "label_agreement_required"


class Unauthorized(GatewayError):
    """No key, or one that isn't valid now. One message for all cases, so keys can't be probed."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class KeySuspended(Unauthorized):
    """The key may not be used for now. `key_id` lets the refusal be recorded."""

    status = 403
    type = "permission_error"
    code = "key_suspended"

    def __init__(self, message: str, *, param: str | None = None, key_id: str | None = None) -> None:
        super().__init__(message, param=param)
        self.key_id = key_id


class PromptRefused(GatewayError):
    """The compliance pipeline blocks the prompt; `param` names the field that holds the span."""

    status = 400
    type = "invalid_request_error"
    code = "content_filter"


class RateLimited(GatewayError):
    """Too many requests at once, or too many requests or tokens in this minute. `retry_after` is in whole seconds."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, param: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, param=param)
        self.retry_after = retry_after

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"retry-after", str(min(max(self.retry_after, 1), 60)).encode())]


class QuotaSpent(GatewayError):
    """The tenant's vouchers, or a free model's allowance, don't cover the request. Trying again changes nothing."""

    status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"x-should-retry", b"false")]


class Forbidden(InvalidRequest):
    """The key is valid, and may not do this."""

    status = 403
    type = "permission_error"
    code = "permission_denied"


class Overloaded(GatewayError):
    """The nodes are full and the queue is too, or the wait in it was too long. `retry_after` is in whole seconds."""

    status = 429
    type = "rate_limit_error"
    code = "overloaded"

    def __init__(self, message: str, *, param: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, param=param)
        self.retry_after = retry_after

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"retry-after", str(min(max(self.retry_after, 1), 60)).encode())]


class ScanFailed(GatewayError):
    """A scanner raised or ran out of time. The pipeline fails closed: nothing was let through."""

    status = 503
    code = "scan_failed"
    retry_after_seconds = 1


class PolicyUnavailable(GatewayError):
    """The policy that this key or model names can't be used, and without it nothing is served."""

    status = 503
    code = "policy_unavailable"
    retry_after_seconds = 5


class RecordFailed(GatewayError):
    """The database didn't take the request's record, and an answer without a record isn't given."""

    status = 503
    code = "record_failed"
    retry_after_seconds = 2


class RecordPending(GatewayError):
    """A stream is complete but for its end: its record waits for the database, and then it is charged."""

    status = 503
    code = "record_pending"


class DirectoryUnavailable(GatewayError):
    """The database can't be reached, and without it this key can be neither accepted nor refused."""

    status = 503
    code = "directory_unavailable"
    retry_after_seconds = 2


class NodeUnavailable(GatewayError):
    """No node is ready for this model."""

    status = 503
    code = "no_node_available"
    retry_after_seconds = 2


class NodeFailed(GatewayError):
    """The node broke off or answered something that isn't the protocol."""

    status = 502
    code = "node_failed"
    retry_after_seconds = 1


class NodeTimeout(GatewayError):
    """The node sent nothing for too long."""

    status = 504
    code = "node_timeout"
    retry_after_seconds = 1

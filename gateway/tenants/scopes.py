"""What a key may be used for: one table of endpoints and scopes, and the checks that every endpoint calls."""

from collections.abc import Mapping

from gateway.errors import Forbidden, UnknownModel
from gateway.tenants.caller import Caller, Scope

SCOPES: Mapping[str, Scope] = {
    "chat.completions": "inference",
    "completions": "inference",
    "embeddings": "inference",
    "responses": "inference",
    "messages": "inference",
    "messages.count_tokens": "inference",
    "tokenize": "inference",
    "detokenize": "inference",
    "models": "inference",
    "moderations": "moderations",
    "files": "files",
    "batches": "files",
    "control": "control",
}
"""The scope that each endpoint needs, by the name that records and metrics call it."""


def check_scope(caller: Caller, endpoint: str) -> None:
    """Raise Forbidden when the key's scopes don't hold the endpoint's; an endpoint without a row needs all of them."""
    if caller.scopes is None:
        return
    needed = SCOPES.get(endpoint)
    if needed not in caller.scopes:
        name = needed or "all"
        raise Forbidden(
            f"This key has no scope '{name}', which {endpoint} needs; use another key or have the scope added. "
            f"该密钥没有 {name} 权限范围，请更换密钥或申请该范围。",
            param="scopes",
        )


def check_model(caller: Caller, model: str, asked: str) -> None:
    """Raise UnknownModel, in the very words for a model that does not exist, when the key may not call it."""
    if not caller.may_use(model):
        raise UnknownModel.named(asked)

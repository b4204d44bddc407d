"""Where a request's key stands in its headers."""

from collections.abc import Iterable

from gateway.errors import InvalidRequest


def credentials_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """`Authorization`, else `x-api-key` as a bearer; None without either. Names are lower case, as ASGI has them.

    Raises InvalidRequest when one of them comes twice: proxies and gateways would not agree on whose request it is.
    """
    authorization, key = _only(headers, b"authorization"), _only(headers, b"x-api-key")
    if authorization is None and key is not None:
        return b"Bearer " + key
    return authorization


def _only(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    values = [value for given, value in headers if given == name]
    if len(values) > 1:
        raise InvalidRequest(
            f"The header '{name.decode()}' was sent {len(values)} times; send it once. 请求头重复，请只发送一次。",
            param=name.decode(),
        )
    return values[0] if values else None

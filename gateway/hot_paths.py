"""The way past the framework for the endpoints that every caller uses: one look-up instead of a hundred patterns."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class HotPaths:
    """ASGI middleware: a POST to one of `paths` goes straight to its endpoint, everything else to the framework.

    The paths become known when the gateway runs, so the mapping is filled later.
    """

    def __init__(self, app: ASGIApp, paths: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or pass on."""
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self._paths.get(scope["path"])
            if endpoint is not None:
                await endpoint(scope, receive, send)
                return
        await self._app(scope, receive, send)

"""Other providers, asked through litellm when no own node can take a request.

Both sides have to agree: the model names its providers (`routing.overflow`), and the caller's data may leave.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, cast

from configs.loader import SettingsError
from configs.sections.routing import ProviderSettings, RoutingSettings, UpstreamSettings
from gateway.errors import GatewayError, NodeFailed, NodeTimeout, NodeUnavailable
from gateway.record import RequestEntry
from gateway.routing.asked import Asked
from gateway.surfaces.shape import NOT_FORWARDED
from gateway.tenants.keys import Caller
from gateway.upstream import Event, ShuttingDown

PATH = "/v1/chat/completions"
PASSED_ON = frozenset((
    "messages", "temperature", "top_p", "n", "max_tokens", "max_completion_tokens", "stop", "seed", "tools",
    "tool_choice", "response_format", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias",
    "parallel_tool_calls", "reasoning_effort",
))  # fmt: skip
LEFT_OUT = frozenset((*NOT_FORWARDED, "model", "stream", "stream_options"))

log = logging.getLogger("opcgate.overflow")


class Overflow:
    """The providers, and whose requests may go to which. litellm is loaded with the first request that needs it."""

    def __init__(
        self, settings: RoutingSettings, upstream: UpstreamSettings, environment: Mapping[str, str] = os.environ
    ) -> None:
        """Raises SettingsError when a provider's key isn't in the environment."""
        self._settings = settings
        self._upstream = upstream
        self._providers = {one.name: one for one in settings.providers}
        self._keys = provider_keys(settings, environment)
        self._litellm: Any = None
        self._stopped: asyncio.Event | None = None

    def provider_for(self, asked: Asked) -> ProviderSettings | None:
        """The first provider that may take the request and that it has not been to; None for none.

        One that uses what only vLLM understands stays here: elsewhere it would mean something else.
        """
        names = self._settings.overflow.get(asked.model.id, ())
        if not names or asked.request.engine_path != PATH or stays_here(asked.caller, self._settings):
            return None
        body = asked.request.body
        if any(body[name] is not None and name not in PASSED_ON and name not in LEFT_OUT for name in body):
            return None
        return next((self._providers[one] for one in names if node_name(one) not in asked.tried), None)

    async def events(self, provider: ProviderSettings, asked: Asked, entry: RequestEntry) -> AsyncGenerator[Event]:
        """The provider's answer as events of our own. Raises GatewayError."""
        entry.node = node_name(provider.name)
        entry.region = None
        entry.attempts += 1
        asked.tried.add(entry.node)
        body = asked.request.body
        fields = {name: body[name] for name in PASSED_ON if body.get(name) is not None}
        seconds = self._upstream.idle_seconds if asked.request.stream else self._upstream.whole_answer_seconds
        litellm = await self._loaded()
        options = {"stream": True, "stream_options": {"include_usage": True}} if asked.request.stream else {}
        call = litellm.acompletion(
            model=provider.model,
            api_key=self._keys[provider.name],
            api_base=provider.api_base,
            timeout=seconds,
            max_retries=0,
            num_retries=0,
            **fields,
            **options,
        )
        answer = await self._in_time(call, seconds)
        if not asked.request.stream:
            whole = answer.model_dump()
            asked.check.apply(whole)
            yield whole
            return
        try:
            pieces = 0
            stream = cast("AsyncIterator[Any]", aiter(answer))
            while (chunk := await self._in_time(anext(stream, None), seconds)) is not None:
                event = _event(chunk)
                pieces += bool(event["choices"])
                if not event.get("usage"):
                    # Providers count at the end only: what a caller who leaves early got is counted by its pieces.
                    entry.completion_tokens = pieces
                asked.check.apply(event)
                yield event
        finally:
            with suppress(Exception):
                await answer.aclose()

    def stop(self) -> None:
        """End every open answer."""
        if self._stopped is not None:
            self._stopped.set()

    async def close(self) -> None:
        """Close litellm's connections."""
        if self._litellm is not None:
            await self._litellm.close_litellm_async_clients()

    async def _in_time(self, work: Any, seconds: float) -> Any:
        """What litellm answers, with its errors as ours, unless it takes too long or the gateway stops."""
        assert self._stopped is not None  # noqa: S101 - litellm was loaded before
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait((task, stopped), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise (
                    ShuttingDown("This gateway is being restarted; try again. 网关正在重启，请重试。")
                    if stopped.done()
                    else NodeTimeout("The overflow provider sent nothing for too long; try again.")
                )
            return task.result()
        except GatewayError:
            raise
        except Exception as error:  # noqa: BLE001 - litellm has an error for every provider's every mood
            raise _translated(error) from None
        finally:
            for one in (task, stopped):
                if not one.done():
                    one.cancel()
                    with suppress(asyncio.CancelledError, Exception):
                        await one

    async def _loaded(self) -> Any:
        """litellm, without what it would otherwise ask the network for or tell it."""
        if self._litellm is None:
            self._stopped = asyncio.Event()
            self._litellm = await asyncio.to_thread(_import_litellm)
        return self._litellm


def provider_keys(settings: RoutingSettings, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The providers' keys from the environment. Raises SettingsError for one that isn't there."""
    keys: dict[str, str] = {}
    for one in settings.providers:
        keys[one.name] = environment.get(one.api_key_env, "")
        if not keys[one.name]:
            raise SettingsError(
                f"routing.providers.{one.name}: ${one.api_key_env} isn't set; put the provider's key there. "
                f"请设置环境变量 {one.api_key_env}。"
            )
    return keys


def stays_here(caller: Caller, settings: RoutingSettings) -> bool:
    """Whether the caller's data must not leave: always, unless its organisation has agreed to it."""
    flag: bool | None = getattr(caller, "keep_local", None)
    if flag is not None:
        return flag
    return caller.tenant is None or caller.tenant not in settings.may_leave


def node_name(provider: str) -> str:
    """What records call a provider."""
    return f"provider:{provider}"


def _import_litellm() -> Any:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.disable_aiohttp_transport = True  # its connections outlive `close`
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # its lines may hold what callers wrote
    return litellm


def _event(chunk: Any) -> Event:
    """A chunk as vLLM would have sent it: the one with the counts has no choice."""
    event: Event = chunk.model_dump(exclude_none=True)
    if event.get("usage"):
        event["choices"] = [one for one in event["choices"] if one.get("delta") or one.get("finish_reason")]
    return event


def _translated(error: Exception) -> GatewayError:
    """A provider's reason may hold its account's details, so it isn't passed on."""
    status = getattr(error, "status_code", None)
    log.warning("a provider failed: %s (%s)", type(error).__name__, status)
    if status == 408:
        return NodeTimeout("The overflow provider sent nothing for too long; try again.")
    if isinstance(status, int) and 400 <= status < 500:
        return NodeUnavailable("The overflow provider can't take the request; try again.")
    return NodeFailed("The overflow provider failed; try again.")

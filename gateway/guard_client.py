"""The wire to guard models: one judgement in, findings out, a deadline around it; every foreign error becomes ours."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import aiohttp
import orjson

from compliance.guards.answer import GuardAnswerError
from compliance.guards.build import guards_version
from compliance.guards.guard import Guard
from compliance.guards.rules import GuardRules, guard_rules
from compliance.guards.turns import Turns
from compliance.policies.policy import Policy
from compliance.verdict import Direction, Finding, RulesError
from configs.schema import GuardSettings

LARGEST_ANSWER_BYTES = 256 * 1024


Cause = Literal["deadline", "unreachable", "broke_off", "protocol"]
"""Why a guard gave no judgement, for metrics."""

Watch = Callable[[str, Direction, float, Cause | None], None]
"""Told a guard's name, what it was asked about, the seconds it took, and why it failed if it did."""


class GuardFailed(Exception):
    """A guard gave no judgement. Says which one and why, without its address and without a word of the text."""

    def __init__(self, guard: str, why: str, cause: Cause = "protocol") -> None:
        super().__init__(f"guard {guard} {why}")
        self.cause: Cause = cause


class Judge(Protocol):
    """Whoever judges texts; `settings` say in which directions and what follows. Tests may bring their own."""

    @property
    def settings(self) -> GuardSettings: ...

    async def judge(self, turns: Turns, direction: Direction, start: int, end: int) -> tuple[Finding, ...]:
        """What is wrong with the last turn, of which the text from `start` to `end` is new. Raises GuardFailed."""
        ...


@dataclass(frozen=True, slots=True)
class GuardClient:
    """One guard behind its address. Construct it inside a running event loop."""

    guard: Guard
    session: aiohttp.ClientSession
    headers: dict[str, str] = field(repr=False)
    places: asyncio.Semaphore

    @property
    def settings(self) -> GuardSettings:
        return self.guard.settings

    async def judge(self, turns: Turns, direction: Direction, start: int, end: int) -> tuple[Finding, ...]:
        """Ask the guard. The deadline counts from here, so waiting for a place is part of it."""
        name = self.settings.name
        body = orjson.dumps(self.guard.body(turns, end - start))
        try:
            async with asyncio.timeout(self.settings.deadline_seconds), self.places:
                answer = await self._ask(body)
            return self.guard.findings(answer, direction, start, end)
        except TimeoutError:
            raise GuardFailed(
                name, f"ran past its deadline of {self.settings.deadline_seconds:g} s", "deadline"
            ) from None
        except aiohttp.ClientConnectorError:
            raise GuardFailed(name, "can't be reached", "unreachable") from None
        except (aiohttp.ClientError, OSError, EOFError):
            raise GuardFailed(name, "broke off", "broke_off") from None
        except GuardAnswerError as error:
            raise GuardFailed(name, str(error)) from None

    async def _ask(self, body: bytes) -> Any:
        # A redirect would carry the text to an address that nobody configured.
        async with self.session.post(
            self.guard.url, data=body, headers=self.headers, allow_redirects=False
        ) as response:
            if response.status != 200:
                raise GuardAnswerError(f"answered with status {response.status}")
            payload = b""
            async for chunk in response.content.iter_any():
                payload += chunk
                if len(payload) > LARGEST_ANSWER_BYTES:
                    raise GuardAnswerError(f"answered more than {LARGEST_ANSWER_BYTES} bytes")
        try:
            return orjson.loads(payload)
        except orjson.JSONDecodeError:
            raise GuardAnswerError("answered something that isn't JSON") from None


@dataclass(frozen=True, slots=True)
class RuledJudge:
    """A judge under a request's policy: `settings` and findings are those that hold there."""

    judging: Judge
    rules: GuardRules
    settings: GuardSettings
    watch: Watch | None

    @classmethod
    def under(cls, judge: Judge, rules: GuardRules, watch: Watch | None) -> "RuledJudge":
        said = {"mode": rules.mode, "on_failure": rules.on_failure}
        return cls(judge, rules, judge.settings.model_copy(update=said), watch)

    async def judge(self, turns: Turns, direction: Direction, start: int, end: int) -> tuple[Finding, ...]:
        began = time.perf_counter()
        try:
            found = await self.judging.judge(turns, direction, start, end)
        except GuardFailed as failure:
            self._measure(direction, began, failure.cause)
            raise
        self._measure(direction, began, None)
        return self.rules.applied(found, direction)

    def _measure(self, direction: Direction, began: float, cause: Cause | None) -> None:
        if self.watch:
            self.watch(self.settings.name, direction, time.perf_counter() - began, cause)


@dataclass(frozen=True, slots=True)
class Judges:
    """All judges of a gateway, by what they judge; `version` is what a record adds to that of the rules."""

    prompt: tuple[Judge, ...] = ()
    output: tuple[Judge, ...] = ()
    version: str = ""

    @classmethod
    def of(cls, judges: Iterable[Judge], version: str) -> "Judges":
        every = tuple(judges)
        return cls(
            tuple(one for one in every if "prompt" in one.settings.directions),
            tuple(one for one in every if "output" in one.settings.directions),
            f"+{version}",
        )

    def under(self, policy: Policy, watch: Watch | None = None) -> "Judges":
        """The judges that a policy has not switched off, with what it says of them."""
        if not self.prompt and not self.output:
            return self
        return Judges(_ruled(self.prompt, policy, watch), _ruled(self.output, policy, watch), self.version)


def _ruled(judges: Iterable[Judge], policy: Policy, watch: Watch | None) -> tuple[Judge, ...]:
    ruled = (RuledJudge.under(one, guard_rules(one.settings, policy), watch) for one in judges)
    return tuple(one for one in ruled if one.rules.enabled)


def guard_keys(guards: Iterable[Guard]) -> dict[str, str]:
    """Each guard's key, from the environment variable that its settings name. Raises RulesError where it is unset."""
    keys = {}
    for guard in guards:
        variable = guard.settings.api_key_env
        if variable is None:
            continue
        if not os.environ.get(variable):
            name = guard.settings.name
            raise RulesError(
                f"guards: {name}: the environment variable {variable} is not set; set it to the guard's key",
                f"guards：{name}：环境变量 {variable} 未设置，请将其设为该护栏模型的密钥",
            )
        keys[guard.settings.name] = os.environ[variable]
    return keys


@asynccontextmanager
async def open_judges(guards: tuple[Guard, ...], keys: dict[str, str]) -> AsyncIterator[Judges]:
    """Connections to the guards, closed at the end. Nothing is opened where there are none."""
    if not guards:
        yield Judges()
        return
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)
    timeout = aiohttp.ClientTimeout(total=None)  # each judgement brings its own deadline
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
        clients = [GuardClient(one, session, _headers(one, keys), _places(one)) for one in guards]
        yield Judges.of(clients, guards_version(guards))


def _headers(guard: Guard, keys: dict[str, str]) -> dict[str, str]:
    key = keys.get(guard.settings.name)
    return {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})


def _places(guard: Guard) -> asyncio.Semaphore:
    return asyncio.Semaphore(guard.settings.concurrent_judgements)

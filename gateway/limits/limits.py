"""Admission: what a key, an organisation and a model may ask for, before anything costly is done for a request."""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from configs.sections.limits import LimitSettings, RateSettings
from gateway.background import Background
from gateway.errors import DirectoryUnavailable, RateLimited
from gateway.limits.headers import rate_headers
from gateway.limits.minute import Minute
from gateway.limits.shares import Shares
from gateway.limits.subjects import LimitBook, Subject
from gateway.record import RequestEntry
from gateway.tenants.caller import Caller
from gateway.tokens import TokenEstimate
from models.catalog import ServedModel

log = logging.getLogger("opcgate.limits")
MOST_SUBJECTS = 100_000
IDLE_SECONDS = 2.0
AWAY = "Limits can't be checked just now; try again. 暂时无法检查用量限制，请重试。"


@dataclass(slots=True)
class State:
    """What this worker knows and holds of one subject."""

    minute: Minute = field(default_factory=lambda: Minute(-1))
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    places: int = 0
    open: int = 0


class Limits:
    """Requests and tokens per minute, and places, of this worker's callers; exact over all workers together."""

    def __init__(
        self,
        settings: LimitSettings,
        book: LimitBook,
        shares: Shares,
        alive: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._book = book
        self._shares = shares
        self._alive = alive
        self._clock = clock
        self._states: OrderedDict[Subject, State] = OrderedDict()
        self._background = Background()

    async def start(self) -> None:
        """Read what operators have set, now and every few seconds."""
        await self._book.refresh()
        self._background.start(self._tend(), "limits")

    async def close(self) -> None:
        """Give back what is left, so that others can use it."""
        if not await self._background.close():
            return
        with contextlib.suppress(SQLAlchemyError, OSError):
            await self._give_back(idle_seconds=0.0)

    @asynccontextmanager
    async def admitted(
        self, caller: Caller, model: ServedModel, estimate: TokenEstimate, entry: RequestEntry
    ) -> AsyncIterator[None]:
        """Take the request's share while the block runs; tokens that it did not use are given back after it.

        Raises RateLimited, DirectoryUnavailable when the database is away.
        """
        subjects = [Subject("key", caller.key_id), Subject("tenant", caller.tenant or ""), Subject("model", model.id)]
        limited = [(one, limits) for one in subjects if (limits := self._book.of(one)) != NO_LIMITS]
        if not limited:
            yield
            return
        placed: list[State] = []
        charged: list[tuple[State, int]] = []
        try:
            for subject, limits in limited:
                if limits.concurrent_requests is not None:
                    placed.append(await self._place(subject, limits.concurrent_requests))
            for subject, limits in limited:
                charged.append(await self._charge(subject, limits, estimate.total, entry))
        except BaseException:
            _take_back(placed, charged, estimate.total, requests=1)
            raise
        try:
            yield
        finally:
            used = (entry.prompt_tokens or 0) + (entry.completion_tokens or 0)
            _take_back(placed, charged, max(0, estimate.total - used), requests=0)

    async def _place(self, subject: Subject, limit: int) -> State:
        state = self._state(subject)
        if state.open >= state.places or state.places > limit:
            async with self._turn(state):
                if state.open >= state.places or state.places > limit:
                    state.places = await self._shares.hold_places(subject, state.open + 1, limit, self._clock())
        if state.open >= state.places:
            raise RateLimited(
                f"The limit of {limit} requests at once for {subject.named()} is reached; wait for one to end. "
                f"并发请求数已达上限 {limit}。"
            )
        state.open += 1
        return state

    async def _charge(
        self, subject: Subject, limits: RateSettings, tokens: int, entry: RequestEntry
    ) -> tuple[State, int]:
        state = self._state(subject)
        wanted_tokens = 0 if limits.tokens_per_minute is None else tokens
        wanted_requests = 0 if limits.requests_per_minute is None else 1
        now = self._clock()
        minute = int(now // 60)
        if not (state.minute.minute == minute and state.minute.has(wanted_requests, wanted_tokens)):
            async with self._turn(state):
                if not (state.minute.minute == minute and state.minute.has(wanted_requests, wanted_tokens)):
                    await self._lease(state, subject, minute, wanted_requests, wanted_tokens, limits)
        known = state.minute
        known.used_at = now
        enough = known.has(wanted_requests, wanted_tokens)
        if enough:
            known.use(wanted_requests, wanted_tokens)
        entry.limit_headers = rate_headers(entry.limit_headers, limits, known, now)
        if not enough:
            raise RateLimited(_why(subject, limits, known, wanted_tokens), retry_after=60 - int(now % 60))
        return state, minute

    async def _lease(
        self, state: State, subject: Subject, minute: int, requests: int, tokens: int, limits: RateSettings
    ) -> None:
        known = state.minute if state.minute.minute == minute else Minute(minute)
        part = await self._shares.take(
            subject,
            minute,
            max(0, requests - known.requests),
            max(0, tokens - known.tokens),
            (limits.requests_per_minute, limits.tokens_per_minute),
        )
        known.requests += part.requests
        known.tokens += part.tokens
        known.shared_requests = None if part.requests_left is None else part.requests_left - part.requests
        known.shared_tokens = None if part.tokens_left is None else part.tokens_left - part.tokens
        state.minute = known

    @asynccontextmanager
    async def _turn(self, state: State) -> AsyncIterator[None]:
        """Ask the database for one subject at a time. Raises DirectoryUnavailable when it does not answer in time."""
        try:
            async with self._shares.in_time(), state.lock:
                yield
        except (SQLAlchemyError, OSError):
            raise DirectoryUnavailable(AWAY) from None

    def _state(self, subject: Subject) -> State:
        state = self._states.get(subject)
        if state is None:
            state = self._states[subject] = State()
            if len(self._states) > MOST_SUBJECTS:
                self._forget_one()
        return state

    def _forget_one(self) -> None:
        """The longest known subject without an open request; what it holds is given back with its minute."""
        for subject, state in self._states.items():
            if not state.open and not state.places:
                del self._states[subject]
                return

    async def _tend(self) -> None:
        swept = 0
        while True:
            await asyncio.sleep(self._settings.refresh_seconds)
            minute = int(self._clock() // 60)
            try:
                await self._book.refresh()
                await self._give_back(IDLE_SECONDS)
                if minute != swept:
                    await self._shares.sweep(minute, self._clock())
                    swept = minute
            except (SQLAlchemyError, OSError) as error:
                log.warning("limits could not be refreshed: %s", type(error).__name__)

    async def _give_back(self, idle_seconds: float) -> None:
        """Return what lies idle here while other workers might want it."""
        if self._alive() == 1 and idle_seconds:
            return
        now = self._clock()
        for subject, state in list(self._states.items()):
            known = state.minute
            idle = known.minute == int(now // 60) and now - known.used_at >= idle_seconds
            if idle and (known.requests or known.tokens):
                requests, tokens = known.requests, known.tokens
                known.use(requests, tokens)
                await self._shares.give_back(subject, known.minute, requests, tokens)
            if state.places > state.open:
                async with state.lock:
                    state.places = state.open
                    await self._shares.keep_places(subject, state.open)


NO_LIMITS = RateSettings()


def _take_back(placed: list[State], charged: list[tuple[State, int]], tokens: int, *, requests: int) -> None:
    for state in placed:
        state.open -= 1
    for state, minute in charged:
        if state.minute.minute == minute:
            if state.minute.shared_tokens is not None:
                state.minute.tokens += tokens
            if state.minute.shared_requests is not None:
                state.minute.requests += requests


def _why(subject: Subject, limits: RateSettings, known: Minute, tokens: int) -> str:
    requests_left, tokens_left = known.left()
    if requests_left is not None and requests_left < 1:
        limit = limits.requests_per_minute
        return (
            f"The limit of {limit} requests per minute for {subject.named()} is reached; wait for the next minute. "
            f"每分钟请求数已达上限 {limit}。"
        )
    return (
        f"The limit of {limits.tokens_per_minute} tokens per minute for {subject.named()} leaves {tokens_left}, "
        f"and this request may take {tokens}; lower max_tokens or wait for the next minute. "
        f"每分钟词元数上限为 {limits.tokens_per_minute}，剩余 {tokens_left}，本次最多需要 {tokens}。"
    )

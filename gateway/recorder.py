"""Settling: finished requests are written in groups, and what the database can't take now waits in memory for it."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from gateway.background import Background
from gateway.errors import RecordFailed
from gateway.record import Settlement

log = logging.getLogger("opcgate.recorder")
GROUP = 256
AGAIN_SECONDS = 0.2
REFUSING = ("22", "23", "42")
"""Classes of SQLSTATE that speak of what was written, not of the database's health."""

Waiting = asyncio.Future[None]


class WriteGroup(Protocol):
    """Commits a group in one transaction. `uncertain`: it may be there already, from an attempt that seemed to fail."""

    async def __call__(self, group: Sequence[Settlement], *, uncertain: bool = False) -> None:
        """Write it, or raise."""
        ...


class Recorder:
    """Writes finished requests in groups: every waiting settlement goes into one transaction.

    A group that fails because the database is away is tried until it is back; `away` meanwhile, and no request begins.
    """

    def __init__(self, write_group: WriteGroup, most: int = 10_000, close_seconds: float = 10.0) -> None:
        """`most` settlements wait before requests are refused; `close` waits for a database for `close_seconds`."""
        self._write_group = write_group
        self._most = most
        self._close_seconds = close_seconds
        self._held: dict[Waiting, Settlement] = {}
        self._waiting: asyncio.Queue[Waiting] = asyncio.Queue()
        self._background = Background()
        self.away = False

    def start(self) -> None:
        """Start the writer; call once, inside the event loop."""
        self._background.start(self._write_groups(), "recorder")

    def check_room(self) -> None:
        """Raise RecordFailed when what is begun now could not be recorded: what waits is bounded by this."""
        if self.away or len(self._held) >= self._most:
            raise RecordFailed("Requests can't be recorded just now, so none is begun; try again. 暂时无法记录请求。")

    def submit(self, settlement: Settlement) -> Waiting:
        """Have the settlement written; the future is done when it is committed, or fails with what makes it unfit."""
        done: Waiting = asyncio.get_running_loop().create_future()
        self._held[done] = settlement
        self._waiting.put_nowait(done)
        return done

    def take_back(self, done: Waiting) -> None:
        """The caller was refused instead of answered: what is written from now on says so, and charges nothing."""
        settlement = self._held.get(done)
        if settlement is not None:
            self._held[done] = settlement.undelivered()

    async def settle(self, settlement: Settlement) -> None:
        """Return when the settlement is committed. Raises what the database raised."""
        await asyncio.shield(self.submit(settlement))

    async def close(self) -> None:
        """Write what waits, then stop. What a database that stays away doesn't take is named in the log."""
        if not self._background.started:
            return
        try:
            async with asyncio.timeout(self._close_seconds):
                await self._waiting.join()
        except TimeoutError:
            for one in self._held.values():
                row = one.row
                tokens = row["prompt_tokens"], row["completion_tokens"]
                log.error("request %s of %s is not recorded: %s tokens", row["id"], row["tenant"], tokens)
        await self._background.close()

    async def _write_groups(self) -> None:
        while True:
            group = [await self._waiting.get()]
            while len(group) < GROUP and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
            await self._write(group)
            for _ in group:
                self._waiting.task_done()

    async def _write(self, group: list[Waiting], *, uncertain: bool = False, last: bool = False) -> None:
        """Return when every settlement of the group is in the database, or known to be unfit for it."""
        while (error := await self._attempt(group, uncertain)) is not None and not _refuses(error):
            if not self.away:
                log.error("records have to wait, and requests are refused: %s", type(error).__name__)
            self.away = uncertain = True
            await asyncio.sleep(AGAIN_SECONDS)
        if error is None and self.away:
            log.warning("records are written again; %d wait", len(self._held) - len(group))
            self.away = False
        if error is None or (len(group) == 1 and (last or not uncertain)):
            for done in group:
                self._tell(done, error)
        elif len(group) > 1:
            for done in group:  # one of them is unfit: the others are not
                await self._write([done], uncertain=uncertain)
        else:  # an attempt that seemed to have failed may have been committed since it was looked up
            await self._write(group, uncertain=True, last=True)

    async def _attempt(self, group: list[Waiting], uncertain: bool) -> BaseException | None:
        try:
            settlements = [self._held[done] for done in group]
            await asyncio.shield(self._write_group(settlements, uncertain=uncertain))
        except Exception as error:  # noqa: BLE001 - whatever it is, the waiting requests are told
            return error
        return None

    def _tell(self, done: Waiting, error: BaseException | None) -> None:
        settlement = self._held.pop(done)
        if error is not None:
            log.error("request %s can't be recorded: %s", settlement.row["id"], type(error).__name__)
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
            done.exception()  # whoever waited may have left


def _refuses(error: BaseException) -> bool:
    """Whether a working database refuses what it was given, and always will."""
    if isinstance(error, IntegrityError | DataError | ProgrammingError):
        return True
    if isinstance(error, DBAPIError):
        return (getattr(error.orig, "sqlstate", None) or "")[:2] in REFUSING
    return not isinstance(error, SQLAlchemyError | OSError)

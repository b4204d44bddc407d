"""Guard models at work on a request: its prompt before a node is picked, its answer sentence by sentence.

`strict`: events wait until the text in them is judged. `cutoff`: events pass while judgements run beside them, and an
unsafe one ends the answer at once. An answer that is not streamed always waits.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from compliance.guards.turns import Turn, Turns
from compliance.verdict import Finding
from gateway.errors import PromptRefused, ScanFailed
from gateway.guard import choices_asked, last_usage
from gateway.guard_client import GuardFailed, Judge
from gateway.judged_answer import JudgedAnswer, Piece
from gateway.record import RequestEntry
from gateway.request import CheckedRequest
from gateway.upstream import Event

JUDGEMENTS_AT_ONCE = 8
"""Judgements of one answer under way together; a faster engine waits for its guards."""

UNCHECKED_PROMPT = (
    "The prompt could not be checked ({}), so it was not sent to the model. 内容检查失败，请求未送达模型。"
)
UNCHECKED_ANSWER = "The answer could not be checked ({}); nothing unchecked was sent. 内容检查失败，已停止输出。"

log = logging.getLogger("opcgate.judging")


async def judge_prompt(judges: Sequence[Judge], request: CheckedRequest, entry: RequestEntry) -> None:
    """Have every guard judge the newest turn of the prompt. Raises PromptRefused and ScanFailed."""
    asked = [(judge, where, turns) for where, turns in request.conversations() for judge in judges]
    answers = await asyncio.gather(*(_of_prompt(judge, turns) for judge, _, turns in asked))
    for (judge, where, turns), answer in zip(asked, answers, strict=True):
        if not isinstance(answer, GuardFailed):
            entry.cover(where, len(turns[-1].text), f"guard:{judge.settings.name}")
        findings = _refused(judge, answer, entry, UNCHECKED_PROMPT) if isinstance(answer, GuardFailed) else answer
        entry.add_findings(where, findings)
        stopping = next((one for one in findings if one.action.stops), None)
        if stopping is not None and not entry.dry_run:
            raise PromptRefused(
                f"The prompt was refused by the content policy: {stopping.risk} (guard {judge.settings.name}) in "
                f"'{where}'. 提示词违反内容安全策略，请修改后重试。",
                param=where,
            )


async def _of_prompt(judge: Judge, turns: Turns) -> tuple[Finding, ...] | GuardFailed:
    """A failure is returned, not raised, so that no judgement is left behind by another's failure."""
    try:
        return await judge.judge(turns, "prompt", 0, len(turns[-1].text))
    except GuardFailed as failure:
        return failure


def _refused(judge: Judge, failure: GuardFailed, entry: RequestEntry, message: str) -> tuple[Finding, ...]:
    """Put a guard's failure on record. Raises ScanFailed unless the settings say that it is only flagged."""
    note = str(failure)
    if note not in entry.note:
        log.warning("request %s: %s", entry.id, note)
        entry.note = f"{entry.note}; {note}" if entry.note else note
    if judge.settings.on_failure == "refuse":
        raise ScanFailed(message.format(note)) from failure
    return ()


async def judged(
    events: AsyncGenerator[Event], judges: Sequence[Judge], request: CheckedRequest, entry: RequestEntry
) -> AsyncGenerator[Event]:
    """The events that the guards let through, in their order; the rest of a cut answer is not asked for.

    Raises ScanFailed when a guard fails, and what `events` raises. Close it and no task is left.
    """
    stage = Stage(events, judges, request, entry)
    try:
        async with aclosing(stage.released()) as released:
            async for event in released:
                yield event
    finally:
        await stage.stop()
    if stage.answer.any_cut:
        entry.outcome = "cut"
    if stage.answer.cut and request.stream and request.include_usage:
        yield last_usage(request, entry)


class Stage:
    """One answer's tasks: one that reads the events, and one per judgement."""

    def __init__(
        self, events: AsyncGenerator[Event], judges: Sequence[Judge], request: CheckedRequest, entry: RequestEntry
    ) -> None:
        strict = [one.settings.name for one in judges if one.settings.mode == "strict" or not request.stream]
        cutoff = [one.settings.name for one in judges if one.settings.name not in strict]
        self.answer = JudgedAnswer(entry, strict, cutoff, choices_asked(request.body))
        self._events = events
        self._judges = judges
        self._entry = entry
        self._prompts = [turns for _, turns in request.conversations()]
        self._choices_per_prompt = request.body.get("n") or 1
        self._changed = asyncio.Event()
        self._places = asyncio.Semaphore(JUDGEMENTS_AT_ONCE)
        self._judgements: set[asyncio.Task[None]] = set()
        self._reader: asyncio.Task[None] | None = None
        self._written = asyncio.Event()
        self._failure: Exception | None = None

    async def released(self) -> AsyncGenerator[Event]:
        """The answer's events as they are decided."""
        self._reader = asyncio.create_task(self._read(), name=f"{self._entry.id}-events")
        self._reader.add_done_callback(lambda _: self._changed.set())
        while True:
            self._changed.clear()
            self._written.clear()
            for event in self.answer.release():
                yield event
            self._written.set()
            if self.answer.cut:
                return
            if self._failure is not None:
                raise self._failure
            if self._reader.done() and self.answer.settled:
                return
            await self._changed.wait()

    async def stop(self) -> None:
        """Cancel what is under way and wait until it has ended; the node's stream is closed by then."""
        tasks = {*self._judgements, *([self._reader] if self._reader else [])}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _read(self) -> None:
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    self._submit(self.answer.add(event))
                    self._changed.set()
                    # A slow client slows the node down, as it does without guards.
                    await asyncio.sleep(0)
                    await self._written.wait()
                    while len(self._judgements) > JUDGEMENTS_AT_ONCE:
                        await asyncio.wait(self._judgements, return_when=asyncio.FIRST_COMPLETED)
            self._submit(self.answer.close())
        except Exception as error:  # noqa: BLE001 - whatever it is, `released` raises it
            self._fail(error)

    def _submit(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            for judge in self._judges:
                task = asyncio.create_task(self._judge(judge, piece), name=f"{self._entry.id}-judgement")
                self._judgements.add(task)
                task.add_done_callback(self._judgements.discard)

    async def _judge(self, judge: Judge, piece: Piece) -> None:
        try:
            async with self._places:
                if piece.moot:
                    return
                findings = await judge.judge(self._turns(piece), "output", piece.start, piece.end)
            self.answer.settle(piece, judge.settings.name, findings)
        except GuardFailed as failure:
            self._forgive(judge, piece, failure)
        except Exception as error:  # noqa: BLE001 - whatever it is, `released` raises it
            self._fail(error)
        self._changed.set()

    def _turns(self, piece: Piece) -> Turns:
        prompt = self._prompts[piece.field.choice.index // self._choices_per_prompt]
        return (*prompt, Turn("assistant", piece.text))

    def _forgive(self, judge: Judge, piece: Piece, failure: GuardFailed) -> None:
        """Go on without a judgement where the settings say so."""
        if piece.moot:
            return
        try:
            _refused(judge, failure, self._entry, UNCHECKED_ANSWER)
        except ScanFailed as refusal:
            self._fail(refusal)
        else:
            self.answer.settle(piece, judge.settings.name, (), failed=True)

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._changed.set()

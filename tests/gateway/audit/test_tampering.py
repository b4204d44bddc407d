"""Whatever is changed behind the log's back is found, and named: tests/cases/audit_tampering.jsonl."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.audit.acts import Act, record_act
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.text_keys import load_text_keys
from gateway.audit.texts import seal_text
from gateway.record import Settlement
from gateway.store import writing
from tests.conftest import read_cases
from tests.gateway.audit.conftest import Log

Tamper = Callable[..., Awaitable[None]]


async def fill(log: Log) -> Checkpoint:
    """The log that the table's head describes, signed; a checkpoint of it."""
    keys = load_text_keys(log.settings)
    texts = (seal_text(keys, "req_00000002", "prompt", b"{}"), seal_text(keys, "req_00000002", "answer", b"{}"))
    async with log.worker("wrk_a") as (recorder, _, signer), log.worker("wrk_b") as (other, _, _):
        for numbers in (range(1, 11), range(11, 21)):
            for number in numbers:
                settlement = log.settlement(number)
                if number == 2:
                    digests = {f"{one.part}_text_digest": one.digest for one in texts}
                    settlement = Settlement(log.settlement(2, **digests).row, None, texts)
                await recorder.settle(settlement)
            await signer.sign_own()
        await asyncio.gather(*(other.settle(log.settlement(number)) for number in range(21, 26)))
        for number in range(1, 6):
            async with writing(log.engine) as connection:
                act = Act("cli:someone", "keys.create", f"subject-{number}", {"amount": number, "share": number / 3})
                await record_act(connection, act)
    return await log.checkpoint()


async def test_an_untouched_log_verifies_on_both_databases_with_and_without_a_checkpoint(log: Log) -> None:
    checkpoint = await fill(log)
    for anchor in (None, checkpoint):
        found, run = await log.verify(anchor)
        assert found == []
        assert (run.seen.links, run.seen.records, run.seen.deleted) == (31, 31, 0)
        assert run.seen.signatures >= 4
        assert {one: head.seq for one, head in run.seen.heads.items()} == {"wrk_a": 20, "wrk_b": 5, "control": 6}


@pytest.mark.parametrize("case", read_cases("audit_tampering.jsonl"), ids=lambda case: case["name"])
async def test_tampering_is_found(log: Log, tamper: Tamper, case: dict[str, Any]) -> None:
    checkpoint = await fill(log)
    await tamper(*case["sql"])
    if case.get("checkpoint"):
        without, _ = await log.verify()
        assert without == [], "only a checkpoint can know this"
    found, _ = await log.verify(checkpoint if case.get("checkpoint") else None)
    wanted = (case["what"], case["writer"], case["seq"])
    matching = [one for one in found if (one.what, one.writer, one.seq) == wanted]
    assert matching, f"{case['name']}: {[str(one) for one in found]}"
    if case["record"] is not None:
        assert matching[0].record == case["record"]


async def test_a_chain_that_is_written_anew_with_right_hashes_breaks_its_signatures(log: Log, tamper: Tamper) -> None:
    checkpoint = await fill(log)
    await tamper("DELETE FROM audit_links WHERE writer='wrk_b'", "DELETE FROM requests WHERE id>='req_00000021'")
    async with log.worker("wrk_b") as (recorder, _, _):
        for number in range(21, 26):
            await recorder.settle(log.settlement(number, outcome="forged"))
    found, _ = await log.verify()
    assert [(one.what, one.writer, one.seq) for one in found] == [("edited", "wrk_b", 5)]
    found, _ = await log.verify(checkpoint)
    assert ("edited", "wrk_b", 5) in [(one.what, one.writer, one.seq) for one in found]


async def test_verification_can_begin_at_a_moment(log: Log, tamper: Tamper) -> None:
    async with log.worker("wrk_a") as (recorder, _, _):
        for number in range(1, 31):
            log.now[0] += 10
            await recorder.settle(log.settlement(number))
    since = int((log.now[0] - 95) * 1_000_000)
    found, run = await log.verify(since_us=since)
    assert found == []
    assert run.seen.heads["wrk_a"].seq == 30
    await tamper("UPDATE requests SET outcome='x' WHERE id IN ('req_00000003', 'req_00000025')")
    found, run = await log.verify(since_us=since)
    assert [one.seq for one in found if one.writer == "wrk_a"] == [25]
    assert [one.seq for one in (await log.verify())[0]] == [3, 25]

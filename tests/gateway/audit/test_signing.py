"""Heads are signed in time; keys rotate and old signatures still verify; strangers' keys are told apart."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from compliance.labels.signing_key import load_or_create_key
from compliance.verdict import RulesError
from gateway.audit.checkpoint import read_checkpoint
from gateway.audit.signing import public_keys, publish_key, rotate_key
from gateway.audit.tables import SignatureRow, SigningKeyRow
from tests.gateway.audit.conftest import Log


async def signatures(log: Log, writer: str) -> int:
    async with log.engine.connect() as connection:
        query = select(func.count()).select_from(SignatureRow).where(SignatureRow.writer == writer)
        return (await connection.execute(query)).scalar_one()


async def signed(log: Log, writer: str) -> None:
    """Return once there is a signature; the test's own time limit ends a wait for nothing."""
    for _ in range(2000):
        if await signatures(log, writer):
            return
        await asyncio.sleep(0.02)


async def test_a_head_is_signed_after_so_many_seconds_and_only_if_it_moved(log: Log) -> None:
    log.settings = log.settings.model_copy(update={"sign_seconds": 0.05})
    async with log.worker("wrk_a") as (recorder, _, _):
        await recorder.settle(log.settlement(1))
        log.now[0] += 1
        await signed(log, "wrk_a")
        log.now[0] += 1
        await asyncio.sleep(0.2)
    assert await signatures(log, "wrk_a") == 1


async def test_a_head_is_signed_when_so_many_records_came(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.audit.signer.LOOK_SECONDS", 0.02)
    log.settings = log.settings.model_copy(update={"sign_seconds": 1e6, "sign_records": 5})
    async with log.worker("wrk_a") as (recorder, _, _):
        for number in range(4):
            await recorder.settle(log.settlement(number))
        await asyncio.sleep(0.1)
        assert await signatures(log, "wrk_a") == 0
        await recorder.settle(log.settlement(4))
        await signed(log, "wrk_a")
    assert await signatures(log, "wrk_a") == 1


async def test_after_a_rotation_old_and_new_signatures_verify_even_against_an_old_checkpoint(log: Log) -> None:
    async with log.worker("wrk_a") as (recorder, _, _):
        await recorder.settle(log.settlement(1))
    checkpoint = await log.checkpoint()
    old = log.key
    log.key = await rotate_key(log.engine, log.settings.key_file, "cli:x")
    assert log.key.id != old.id
    assert load_or_create_key(log.settings.key_file).id == log.key.id
    kept = log.settings.key_file.with_name(f"{log.settings.key_file.name}.{old.id}")
    assert load_or_create_key(kept).id == old.id
    async with log.worker("wrk_b") as (recorder, _, _):
        await recorder.settle(log.settlement(2))
    for anchor in (None, checkpoint):
        found, run = await log.verify(anchor)
        assert found == []
        assert run.seen.signatures >= 3
    async with log.engine.connect() as connection:
        assert [one.vouched_by for one in await public_keys(connection)] == [None, old.id]


async def test_a_strangers_key_is_found_against_a_checkpoint_unless_it_is_trusted(log: Log, tmp_path: Path) -> None:
    async with log.worker("wrk_a") as (recorder, _, _):
        await recorder.settle(log.settlement(1))
    checkpoint = await log.checkpoint()
    stranger = load_or_create_key(tmp_path / "stranger.pem")
    await publish_key(log.engine, stranger, "cli:x")
    log.key = stranger
    async with log.worker("wrk_a2") as (recorder, _, _):
        await recorder.settle(log.settlement(2))
    assert (await log.verify())[0] == []
    assert {one.what for one in (await log.verify(checkpoint))[0]} == {"key", "signature"}
    assert (await log.verify(checkpoint, trusted=frozenset({stranger.id})))[0] == []


async def test_a_forged_voucher_is_found(log: Log) -> None:
    async with log.worker("wrk_a") as (recorder, _, _):
        await recorder.settle(log.settlement(1))
    log.key = await rotate_key(log.engine, log.settings.key_file, "cli:x")
    async with log.engine.begin() as connection:
        await connection.execute(update(SigningKeyRow).where(SigningKeyRow.id == log.key.id).values(voucher=bytes(64)))
    assert {one.what for one in (await log.verify())[0]} >= {"key"}


async def test_a_checkpoint_reads_back_and_an_edited_one_is_refused(log: Log, tmp_path: Path) -> None:
    async with log.worker("wrk_a") as (recorder, _, _):
        await recorder.settle(log.settlement(1))
    checkpoint = await log.checkpoint()
    path = tmp_path / "checkpoint.json"
    path.write_bytes(checkpoint.signed(log.key))
    assert read_checkpoint(path) == checkpoint
    path.write_text(path.read_text().replace('"seq": 1', '"seq": 2'))
    with pytest.raises(RulesError, match="signature"):
        read_checkpoint(path)
    path.write_text("{}")
    with pytest.raises(RulesError, match="no checkpoint"):
        read_checkpoint(path)
    with pytest.raises(RulesError, match="cannot be read"):
        read_checkpoint(tmp_path / "none.json")

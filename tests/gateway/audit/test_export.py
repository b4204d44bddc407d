"""An export verifies by itself, and whatever is changed in it is found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from compliance.labels.signing_key import encode
from compliance.verdict import RulesError
from gateway.audit.acts import Act, record_act
from gateway.audit.canonical import record_bytes
from gateway.audit.export import FILES, PREFIX, Wanted, digest_of_file, export
from gateway.audit.folder import FolderSource
from gateway.audit.source import snapshot
from gateway.audit.verify import Problem, Verification
from gateway.store import writing
from tests.gateway.audit.conftest import Log

Line = dict[str, Any]


async def exported(log: Log, folder: Path, tenant: str | None = None) -> dict[str, Any]:
    """Requests 1 to 50, ten seconds apart; the export begins after number 10 and ends after number 40."""
    start = log.now[0]
    async with log.worker("wrk_a") as (recorder, _, signer):
        for number in range(1, 51):
            log.now[0] = start + 10 * number
            await recorder.settle(log.settlement(number, tenant=f"org-{number % 2}"))
            if number % 9 == 0:
                await signer.sign_own()
        async with writing(log.engine) as connection:
            await record_act(connection, Act("cli:x", "keys.create", "key_1"))
    wanted = Wanted(int((start + 105) * 1e6), int((start + 405) * 1e6), tenant)
    async with snapshot(log.engine) as connection:
        return await export(connection, log.key, wanted, folder, log.clock())


async def check(folder: Path) -> tuple[list[Problem], Verification]:
    run = Verification(FolderSource(folder))
    return [one async for one in run.problems()], run


async def test_an_export_of_a_range_verifies_and_goes_on_to_a_signed_head(log: Log, tmp_path: Path) -> None:
    manifest = await exported(log, tmp_path / "out")
    found, run = await check(tmp_path / "out")
    assert found == []
    assert run.seen.heads["wrk_a"].seq == 45, "the first signed head behind the range"
    assert manifest["counts"]["records"] == 30 + 2
    assert run.seen.records == 32


async def test_an_export_of_one_organisation_holds_the_whole_chain_and_its_records_only(
    log: Log, tmp_path: Path
) -> None:
    manifest = await exported(log, tmp_path / "out", "org-1")
    found, run = await check(tmp_path / "out")
    assert found == []
    assert (manifest["counts"]["records"], run.seen.records) == (15, 15)
    assert "org-0" not in (tmp_path / "out" / "records.jsonl").read_text()


async def test_a_file_that_is_changed_is_named(log: Log, tmp_path: Path) -> None:
    await exported(log, tmp_path / "out")
    path = tmp_path / "out" / "records.jsonl"
    path.write_text(path.read_text().replace("completed", "refused").replace("started", "refused"))
    with pytest.raises(RulesError, match=r"records\.jsonl"):
        FolderSource(tmp_path / "out")


def edit(lines: list[Line]) -> None:
    lines[5]["record"]["outcome"] = "forged"


def drop_link(lines: list[Line]) -> None:
    del lines[7]


def swap(lines: list[Line]) -> None:
    lines[8], lines[9] = lines[9], lines[8]


def insert_record(lines: list[Line]) -> None:
    lines.append(lines[-1] | {"id": "req_forged", "record": lines[-1]["record"] | {"id": "req_forged"}})


def forge_signature(lines: list[Line]) -> None:
    lines[-1]["signature"] = "00" * 64


def forge_head(lines: list[Line]) -> None:
    lines[-1]["hash"] = "00" * 32


CASES: list[tuple[str, Callable[[list[Line]], None], set[str]]] = [
    ("records.jsonl", edit, {"edited"}),
    ("links.jsonl", drop_link, {"deleted"}),
    ("links.jsonl", swap, {"deleted", "reordered"}),
    ("records.jsonl", insert_record, {"inserted"}),
    ("signatures.jsonl", forge_signature, {"signature"}),
    ("signatures.jsonl", forge_head, {"signature"}),
]


@pytest.mark.parametrize(("name", "change", "what"), CASES, ids=[f"{one[0]}-{one[1].__name__}" for one in CASES])
async def test_even_with_a_new_manifest_a_change_is_found(
    log: Log, tmp_path: Path, name: str, change: Callable[[list[Line]], None], what: set[str]
) -> None:
    folder = tmp_path / "out"
    await exported(log, folder)
    lines = [orjson.loads(line) for line in (folder / name).read_bytes().splitlines()]
    change(lines)
    (folder / name).write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    manifest = orjson.loads((folder / "manifest.json").read_bytes())
    manifest.pop("signature")
    manifest["sha256"] = {one: digest_of_file(folder / one) for one in FILES}
    manifest["signature"] = encode(log.key.private.sign(PREFIX + record_bytes(manifest)))
    (folder / "manifest.json").write_bytes(orjson.dumps(manifest))
    found, _ = await check(folder)
    assert what & {one.what for one in found}, [str(one) for one in found]

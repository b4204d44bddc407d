"""An export for an inspector: a folder with records, links, signatures, keys, a checkpoint and how to verify them."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.labels.signing_key import SigningKey, encode
from gateway.audit.acts import CONTROL
from gateway.audit.canonical import moment_of, record_bytes
from gateway.audit.chain import Link
from gateway.audit.checkpoint import take_checkpoint
from gateway.audit.export_readme import README
from gateway.audit.source import DatabaseSource
from gateway.audit.tables import SignatureRow

FORMAT = "opcgate-audit-export-v1"
PREFIX = b"opcgate-audit-export-v1\0"
FILES = ("records.jsonl", "links.jsonl", "signatures.jsonl", "keys.json", "checkpoint.json", "README.md")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is exported: links written in `from_us <= at < to_us`; with a tenant, only its requests' records."""

    from_us: int
    to_us: int
    tenant: str | None = None


async def export(
    connection: AsyncConnection,
    key: SigningKey,
    wanted: Wanted,
    folder: Path,
    now: float,
    on_page: Callable[[int], None] = lambda _links: None,
) -> dict[str, Any]:
    """Write the export into a new folder; its manifest. Raises FileExistsError when there is something there.

    The acts' chain is always whole: it says what was deleted and which keys signed. Other chains go on to the first
    signed head at or after the end, so that a signature covers the last record.
    """
    _make(folder)
    source = DatabaseSource(connection, wanted.from_us)
    counts = {"links": 0, "records": 0, "left_out": 0, "signatures": 0}
    starts = {}
    with (
        (folder / "links.jsonl").open("wb") as links,
        (folder / "records.jsonl").open("wb") as records,
        (folder / "signatures.jsonl").open("wb") as signatures,
    ):
        for writer in await source.writers():
            reader = DatabaseSource(connection) if writer == CONTROL else source
            until = await _until(connection, source, writer, wanted)
            starts[writer] = (await reader.start(writer)).seq
            async for page in reader.pages(writer):
                part = [link for link in page if writer == CONTROL or link.at_us < wanted.to_us or link.seq <= until]
                if not part:
                    break
                await _write_page(reader, part, wanted, (links, records, signatures), counts)
                on_page(counts["links"])
                if len(part) < len(page):
                    break
    keys = [
        {"id": one.id, "public": one.public, "since_us": one.since_us, "vouched_by": one.vouched_by,
         "voucher": None if one.voucher is None else one.voucher.hex()}
        for one in await source.keys()
    ]  # fmt: skip
    (folder / "keys.json").write_bytes(orjson.dumps(keys, option=orjson.OPT_INDENT_2) + b"\n")
    checkpoint = await take_checkpoint(connection, now)
    (folder / "checkpoint.json").write_bytes(checkpoint.signed(key))
    (folder / "README.md").write_text(README, encoding="utf-8")
    manifest = {
        "format": FORMAT,
        "at": moment_of(int(now * 1_000_000)).isoformat(),
        "from": moment_of(wanted.from_us).isoformat(),
        "to": moment_of(wanted.to_us).isoformat(),
        "tenant": wanted.tenant,
        "starts": starts,
        "counts": counts,
        "sha256": {name: digest_of_file(folder / name) for name in FILES},
        "key": key.id,
    }
    manifest["signature"] = encode(key.private.sign(PREFIX + record_bytes(manifest)))
    (folder / "manifest.json").write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n")
    return manifest


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=False)


async def _until(connection: AsyncConnection, source: DatabaseSource, writer: str, wanted: Wanted) -> int:
    """The number of the first signed head at or after the end of what is wanted; 0 when there is none."""
    end = (await DatabaseSource(connection, wanted.to_us).start(writer)).seq
    query = select(func.min(SignatureRow.seq)).where(SignatureRow.writer == writer, SignatureRow.seq >= end)
    return (await connection.execute(query)).scalar() or 0


async def _write_page(
    source: DatabaseSource,
    page: list[Link],
    wanted: Wanted,
    files: tuple[BinaryIO, BinaryIO, BinaryIO],
    counts: dict[str, int],
) -> None:
    links, records, signatures = files
    found = await source.records(page)
    for link in page:
        links.write(orjson.dumps(link_line(link)) + b"\n")
        record = found.get(link.subject)
        inside = wanted.from_us <= link.at_us < wanted.to_us or link.writer == CONTROL
        mine = wanted.tenant is None or (link.kind == "request" and record and record.get("tenant") == wanted.tenant)
        if record is not None and inside and mine:
            line = {"writer": link.writer, "seq": link.seq, "kind": link.kind, "id": link.subject, "record": record}
            records.write(record_bytes(line) + b"\n")
            counts["records"] += 1
        else:
            counts["left_out"] += 1
    counts["links"] += len(page)
    for one in await source.signatures(page[0].writer, page[0].seq, page[-1].seq):
        line = {"writer": one.writer, "seq": one.seq, "hash": one.own.hex(), "at_us": one.at_us,
                "key": one.key_id, "signature": one.signature.hex()}  # fmt: skip
        signatures.write(orjson.dumps(line) + b"\n")
        counts["signatures"] += 1


def link_line(link: Link) -> dict[str, Any]:
    """A link as a line of an export, or as the control API shows it."""
    return {
        "writer": link.writer, "seq": link.seq, "kind": link.kind, "subject": link.subject,
        "record": link.record.hex(), "previous": link.previous.hex(), "own": link.own.hex(),
        "at_us": link.at_us, "version": link.version,
    }  # fmt: skip


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lines_of(path: Path) -> Iterable[bytes]:
    """A file's lines without their ends."""
    with path.open("rb") as file:
        for line in file:
            yield line.rstrip(b"\n")

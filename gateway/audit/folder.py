"""An exported folder as a source for verification: read line by line, with constant memory."""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from compliance.labels.errors import LabelError
from compliance.labels.signing_key import decode
from compliance.verdict import RulesError
from gateway.audit.canonical import record_bytes
from gateway.audit.chain import Head, Link
from gateway.audit.export import FILES, FORMAT, PREFIX, digest_of_file, lines_of
from gateway.audit.signing import PublicKey, Signature
from gateway.audit.verify import Record

PAGE = 1000


class FolderSource:
    """Reads an export. Lines are grouped by writer, in the order of the numbers; anything else is found as damage."""

    complete = False
    has_texts = False

    def __init__(self, folder: Path) -> None:
        """Raises RulesError when the manifest or a file isn't what was exported."""
        self.folder = folder
        self.manifest = _read_manifest(folder)
        self._places = {name: _places(folder / name) for name in ("links.jsonl", "records.jsonl", "signatures.jsonl")}
        self._records: Iterator[tuple[int, str, Record]] = iter(())
        self._waiting: tuple[int, str, Record] | None = None
        self._unlinked: list[str] = []

    async def writers(self) -> list[str]:
        """Every writer in the files."""
        return sorted({writer for places in self._places.values() for writer in places})

    async def start(self, writer: str) -> Head:
        """An export begins in the middle: its first link says what came before."""
        first = next(self._lines("links.jsonl", writer), None)
        if first is None:
            return Head()
        return Head(self.manifest["starts"].get(writer, 0), bytes.fromhex(first["previous"]))

    async def pages(self, writer: str) -> AsyncIterator[list[Link]]:
        """The links as they stand in the file."""
        self._drain()
        self._records = ((line["seq"], line["id"], line["record"]) for line in self._lines("records.jsonl", writer))
        self._waiting = None
        page: list[Link] = []
        for line in self._lines("links.jsonl", writer):
            page.append(
                Link(
                    line["writer"],
                    line["seq"],
                    line["kind"],
                    line["subject"],
                    bytes.fromhex(line["record"]),
                    bytes.fromhex(line["previous"]),
                    bytes.fromhex(line["own"]),
                    line["at_us"],
                    line["version"],
                )
            )
            if len(page) == PAGE:
                yield page
                page = []
        if page:
            yield page
        self._drain()

    async def records(self, links: list[Link]) -> Mapping[str, Record]:
        """The records of these links: both files are in the same order."""
        found: dict[str, Record] = {}
        subjects = {link.subject for link in links}
        while True:
            if self._waiting is None:
                self._waiting = next(self._records, None)
            if self._waiting is None or self._waiting[0] > links[-1].seq:
                return found
            _, name, record = self._waiting
            self._waiting = None
            if name in subjects and name == record.get("id"):
                found[name] = record
            else:
                self._unlinked.append(name)

    def _drain(self) -> None:
        """Records behind the last link have none."""
        rest = [] if self._waiting is None else [self._waiting]
        self._unlinked += [name for _, name, _ in [*rest, *self._records]]
        self._waiting = None

    async def signatures(self, writer: str, first: int, last: int) -> list[Signature]:
        """Signed heads of a chain."""
        return [
            Signature(
                line["writer"],
                line["seq"],
                bytes.fromhex(line["hash"]),
                line["at_us"],
                line["key"],
                bytes.fromhex(line["signature"]),
            )
            for line in self._lines("signatures.jsonl", writer)
            if first <= line["seq"] <= last
        ]

    async def keys(self) -> list[PublicKey]:
        """The keys in the order in which they came into use."""
        return [
            PublicKey(
                one["id"],
                one["public"],
                one["since_us"],
                one["vouched_by"],
                None if one["voucher"] is None else bytes.fromhex(one["voucher"]),
            )
            for one in orjson.loads((self.folder / "keys.json").read_bytes())
        ]

    async def text_digests(self, ids: list[str]) -> Mapping[tuple[str, str], str]:
        """Texts are not exported."""
        return {}

    async def unlinked(self) -> AsyncIterator[str]:
        """Records that no link of the export names."""
        for name in self._unlinked:
            yield name

    async def unlinked_allowed(self) -> int:
        """None: records from before the log began are not exported."""
        return 0

    def _lines(self, name: str, writer: str) -> Iterator[dict[str, Any]]:
        at = self._places[name].get(writer)
        if at is None:
            return
        with (self.folder / name).open("rb") as file:
            file.seek(at)
            for raw in file:
                line = orjson.loads(raw)
                if line["writer"] != writer:
                    return
                yield line


def _places(path: Path) -> dict[str, int]:
    """Where in a file each writer's lines begin."""
    places: dict[str, int] = {}
    at = 0
    for number, raw in enumerate(lines_of(path), 1):
        try:
            places.setdefault(orjson.loads(raw)["writer"], at)
        except (ValueError, KeyError, TypeError):
            raise RulesError(f"{path}: line {number} is damaged", f"{path}：第 {number} 行已损坏") from None
        at += len(raw) + 1
    return places


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest: dict[str, Any] = orjson.loads(path.read_bytes())
        signature = decode(manifest.pop("signature"))
        keys = {one["id"]: one["public"] for one in orjson.loads((folder / "keys.json").read_bytes())}
        signer = PublicKey(manifest["key"], keys[manifest["key"]], 0, None, None)
        valid = manifest["format"] == FORMAT and signer.verifies(signature, PREFIX + record_bytes(manifest))
        digests = manifest["sha256"]
        changed = [name for name in FILES if digest_of_file(folder / name) != digests[name]]
    except OSError as error:
        raise RulesError(
            f"{error.filename}: cannot be read ({error.strerror})", f"{error.filename}：无法读取"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, LabelError):
        raise RulesError(f"{path}: is no manifest of an export", f"{path}：不是导出清单") from None
    if not valid:
        raise RulesError(f"{path}: its signature doesn't hold", f"{path}：签名无效")
    if changed:
        names = ", ".join(changed)
        raise RulesError(f"{folder}: changed since the export: {names}", f"{folder}：导出后被改动：{names}")
    return manifest

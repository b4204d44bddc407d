"""Verification: walks every chain once and names what doesn't fit, with writer, number and record.

It reads from a `Source`, the database or an exported folder, in pages, so that memory stays constant.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gateway.audit.acts import CONTROL
from gateway.audit.canonical import record_digest
from gateway.audit.chain import ACT_KINDS, Head, Link
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.retention import ACTION, Ranges, add_range, holds
from gateway.audit.signing import PublicKey, Signature, voucher_bytes

DAY_US = 86_400_000_000
FIRST_DAYS = 180
"""No settings may keep records for less, so nothing younger can have been deleted rightly."""

Record = dict[str, Any]
What = Literal["edited", "inserted", "deleted", "reordered", "truncated", "signature", "key", "text"]


@dataclass(frozen=True, slots=True)
class Problem:
    """What doesn't fit: where on which chain, which record, and why."""

    what: What
    writer: str
    seq: int | None
    record: str | None
    en: str
    zh: str

    def __str__(self) -> str:
        place = self.writer if self.seq is None else f"{self.writer} #{self.seq}"
        record = f" ({self.record})" if self.record else ""
        return f"{self.what}: {place}{record}: {self.en} {self.zh}"


@dataclass(slots=True)
class Seen:
    """What a verification has walked over; `unlinked_before` are records from before the log began."""

    links: int = 0
    records: int = 0
    deleted: int = 0
    signatures: int = 0
    left_out: int = 0
    unlinked_before: int = 0
    heads: dict[str, Head] = field(default_factory=dict)


class Source(Protocol):
    """Where the log is read from."""

    complete: bool
    """False where records of others were left out, as in one organisation's export."""

    has_texts: bool
    """Whether kept texts can be looked at."""

    async def writers(self) -> list[str]:
        """Every writer that has a link or a signature."""
        ...

    async def start(self, writer: str) -> Head:
        """The head before the first link that is read; empty for a chain that is read from its beginning."""
        ...

    def pages(self, writer: str) -> AsyncIterator[list[Link]]:
        """A chain's links in order, from the start on."""
        ...

    async def records(self, links: list[Link]) -> Mapping[str, Record]:
        """The canonical records of these links, by id."""
        ...

    async def signatures(self, writer: str, first: int, last: int) -> list[Signature]:
        """The signed heads of a chain from one number to another."""
        ...

    async def keys(self) -> list[PublicKey]:
        """The public keys, the oldest first."""
        ...

    async def text_digests(self, ids: list[str]) -> Mapping[tuple[str, str], str]:
        """The hashes of the stored ciphertexts of these records, by record and part."""
        ...

    def unlinked(self) -> AsyncIterator[str]:
        """The ids of records that no link names."""
        ...

    async def unlinked_allowed(self) -> int:
        """How many records there were before the log began."""
        ...


@dataclass(slots=True)
class Verification:
    """One run over a source. `seen` and `problems_found` count as it goes."""

    source: Source
    checkpoint: Checkpoint | None = None
    trusted: frozenset[str] = frozenset()
    on_page: Callable[[int], None] = lambda _links: None
    seen: Seen = field(default_factory=Seen)
    _keys: dict[str, PublicKey] = field(default_factory=dict)
    _gone: Ranges = field(default_factory=dict)
    _gone_until_us: int = 0
    _anchors: dict[str, Head] = field(default_factory=dict)

    async def problems(self) -> AsyncIterator[Problem]:
        """Everything that doesn't fit. The acts' chain comes first: it says what was deleted rightly."""
        async for problem in self._check_keys():
            yield problem
        if self.checkpoint is not None:
            self._anchors = dict(self.checkpoint.heads)
        anchored = self._anchors if self.source.complete else ()
        writers = sorted({*await self.source.writers(), *anchored}, key=lambda one: (one != CONTROL, one))
        for writer in writers:
            async for problem in self._check_chain(writer):
                yield problem
        async for problem in self._check_unlinked():
            yield problem

    async def _check_keys(self) -> AsyncIterator[Problem]:
        """A key is trusted that a trusted key vouches for, or, with a checkpoint, that the checkpoint names."""
        anchored = self.checkpoint is not None or bool(self.trusted)
        known = self.trusted | (frozenset(self.checkpoint.keys) if self.checkpoint else frozenset())
        for key in await self.source.keys():
            by = self._keys.get(key.vouched_by or "")
            vouched = (
                by is not None
                and key.voucher is not None
                and by.verifies(key.voucher, voucher_bytes(key.id, key.public))
            )
            if key.vouched_by is not None and not vouched:
                yield Problem("key", key.id, None, None, "no key vouches for this one.", "没有密钥为其担保。")
            elif anchored and not vouched and key.id not in known:
                yield Problem(
                    "key", key.id, None, None,
                    "the checkpoint doesn't know this key; if it is yours, give --trust-key with its id.",
                    "检查点中没有此公钥；若确为本单位密钥，请用 --trust-key 指定。",
                )  # fmt: skip
            else:
                self._keys[key.id] = key

    async def _check_chain(self, writer: str) -> AsyncIterator[Problem]:
        head = await self.source.start(writer)
        first = head.seq
        anchor = self._anchors.get(writer)
        async for page in self.source.pages(writer):
            records = await self.source.records(page)
            kept = [
                one["id"] for one in records.values() if one.get("prompt_text_digest") or one.get("answer_text_digest")
            ]
            texts = await self.source.text_digests(kept) if kept and self.source.has_texts else {}
            for link in page:
                for problem in self._check_link(link, head, anchor):
                    yield problem
                for problem in self._check_record(link, records.get(link.subject), texts):
                    yield problem
                head = Head(link.seq, link.own)
            for problem in await self._check_signatures(writer, page):
                yield problem
            self.seen.links += len(page)
            self.on_page(self.seen.links)
        self.seen.heads[writer] = head
        end = await self.source.signatures(writer, max(head.seq, first) + 1, 1 << 62)
        last = max([one.seq for one in end] + ([anchor.seq] if anchor and self.source.complete else []), default=0)
        if last > head.seq:
            yield Problem(
                "truncated", writer, head.seq, None,
                f"the chain ends here, but number {last} was signed: {last - head.seq} links are missing at its end.",
                f"链在此结束，但编号 {last} 已签名：末尾缺少 {last - head.seq} 条。",
            )  # fmt: skip

    def _check_link(self, link: Link, head: Head, anchor: Head | None) -> list[Problem]:
        problems = []
        if link.seq > head.seq + 1:
            missing = f"{head.seq + 1}" if link.seq == head.seq + 2 else f"{head.seq + 1} to {link.seq - 1}"
            problems.append(
                Problem(
                    "deleted", link.writer, head.seq + 1, None, f"links {missing} are missing.", f"缺少编号 {missing}。"
                )
            )
        elif link.previous != head.own:
            problems.append(
                Problem("reordered", link.writer, link.seq, link.subject,
                        "it doesn't follow the link before it.", "与前一条不相接。")
            )  # fmt: skip
        if link.computed() != link.own:
            problems.append(
                Problem("edited", link.writer, link.seq, link.subject, "the link was changed.", "链接内容被改动。")
            )
        if anchor is not None and anchor.seq == link.seq and anchor.own != link.own:
            problems.append(
                Problem("edited", link.writer, link.seq, link.subject,
                        "the checkpoint has another link here: the chain was written anew.", "与检查点不符：链被重写。")
            )  # fmt: skip
        return problems

    def _check_record(self, link: Link, record: Record | None, texts: Mapping[tuple[str, str], str]) -> list[Problem]:
        where = (link.writer, link.seq, link.subject)
        if record is None:
            if not self.source.complete:
                self.seen.left_out += 1
                return []
            rightly = link.kind == "request" and link.at_us < self._gone_until_us + DAY_US
            if rightly and holds(self._gone.get(link.writer, ()), link.seq):
                self.seen.deleted += 1
                return []
            return [Problem("deleted", *where, "its record is missing.", "记录缺失。")]
        self.seen.records += 1
        if record_digest(link.kind, record) != link.record:
            return [Problem("edited", *where, "its record was changed.", "记录被改动。")]
        if link.kind in ACT_KINDS and record["action"] == ACTION:
            return self._note_deletion(link, record)
        if not self.source.has_texts:
            return []
        return [
            Problem("text", *where, f"its kept {part} is missing or was changed.", f"留存文本（{part}）缺失或被改动。")
            for part in ("prompt", "answer")
            if record.get(f"{part}_text_digest") and texts.get((link.subject, part)) != record[f"{part}_text_digest"]
        ]

    def _note_deletion(self, link: Link, record: Record) -> list[Problem]:
        """An act of retention explains missing records, unless it came before their time was over."""
        detail = record["detail"]
        if detail["cutoff_us"] > link.at_us - FIRST_DAYS * DAY_US:
            return [
                Problem("deleted", link.writer, link.seq, link.subject,
                        f"records were deleted before {FIRST_DAYS} days were over.",
                        f"记录未满 {FIRST_DAYS} 天即被删除。")
            ]  # fmt: skip
        self._gone_until_us = max(self._gone_until_us, detail["cutoff_us"])
        for writer, ranges in detail["links"].items():
            for low, high in ranges:
                add_range(self._gone, writer, low, high)
        return []

    async def _check_signatures(self, writer: str, page: list[Link]) -> list[Problem]:
        by_seq = {link.seq: link for link in page}
        problems = []
        for one in await self.source.signatures(writer, page[0].seq, page[-1].seq):
            self.seen.signatures += 1
            key, link = self._keys.get(one.key_id), by_seq.get(one.seq)
            if key is None or not key.verifies(one.signature, one.said()):
                problems.append(
                    Problem("signature", writer, one.seq, None, f"the signature by key {one.key_id} isn't valid.",
                            f"密钥 {one.key_id} 的签名无效。")
                )  # fmt: skip
            elif link is not None and link.own != one.own:
                problems.append(
                    Problem("edited", writer, one.seq, link.subject,
                            "another link was signed here: the chain was written anew.",
                            "与已签名的内容不符：链被重写。")
                )  # fmt: skip
        return problems

    async def _check_unlinked(self) -> AsyncIterator[Problem]:
        allowed = await self.source.unlinked_allowed()
        async for record in self.source.unlinked():
            self.seen.unlinked_before += 1
            if self.seen.unlinked_before > allowed:
                yield Problem("inserted", "-", None, record, "no chain has a link for it.", "没有链接与之对应。")
        self.seen.unlinked_before = min(self.seen.unlinked_before, allowed)

"""Checkpoints: all heads in one signed JSON file, to be kept somewhere else as an anchor."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.labels.errors import LabelError
from compliance.labels.signing_key import SigningKey, decode, encode
from compliance.verdict import RulesError
from gateway.audit.canonical import moment_of, record_bytes
from gateway.audit.chain import Head
from gateway.audit.signing import PublicKey, public_keys
from gateway.audit.tables import LinkRow
from gateway.audit.writer import last_link

FORMAT = "opcgate-audit-checkpoint-v1"
PREFIX = b"opcgate-audit-checkpoint-v1\0"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The heads of all chains at a moment, and the public keys (by id) that were in use."""

    at_us: int
    heads: Mapping[str, Head]
    keys: Mapping[str, str]

    def content(self) -> dict[str, Any]:
        """The signed part of the file; a head's number is also how many links its chain had."""
        return {
            "format": FORMAT,
            "at_us": self.at_us,
            "at": moment_of(self.at_us).isoformat(),
            "links": sum(head.seq for head in self.heads.values()),
            "heads": [
                {"writer": writer, "seq": head.seq, "hash": head.own.hex()}
                for writer, head in sorted(self.heads.items())
            ],
            "keys": [{"id": key, "public": public} for key, public in sorted(self.keys.items())],
        }

    def signed(self, key: SigningKey) -> bytes:
        """The file, indented for readers; the signature is over the canonical bytes of the signed part."""
        content = self.content() | {"key": key.id}
        signature = encode(key.private.sign(PREFIX + record_bytes(content)))
        return orjson.dumps(content | {"signature": signature}, option=orjson.OPT_INDENT_2) + b"\n"


async def take_checkpoint(connection: AsyncConnection, now: float) -> Checkpoint:
    """The heads as they are committed."""
    heads = {}
    for writer in await writers_of(connection):
        last = (await connection.execute(last_link(writer))).one()
        heads[writer] = Head(last.seq, last.own)
    keys = {key.id: key.public for key in await public_keys(connection)}
    return Checkpoint(int(now * 1_000_000), heads, keys)


async def writers_of(connection: AsyncConnection) -> list[str]:
    """Every writer that has a link: from one to the next by the key's index, since a chain may be long."""
    writers: list[str] = []
    while True:
        following = select(LinkRow.writer).order_by(LinkRow.writer).limit(1)
        if writers:
            following = following.where(LinkRow.writer > writers[-1])
        found = (await connection.execute(following)).scalar()
        if found is None:
            return writers
        writers.append(found)


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint from its file. Raises RulesError when it isn't one or its signature doesn't hold."""
    try:
        content = orjson.loads(path.read_bytes())
        signature = decode(content.pop("signature"))
        keys = {one["id"]: one["public"] for one in content["keys"]}
        signer = PublicKey(content["key"], keys[content["key"]], 0, None, None)
        heads = {one["writer"]: Head(int(one["seq"]), bytes.fromhex(one["hash"])) for one in content["heads"]}
        valid = content["format"] == FORMAT and signer.verifies(signature, PREFIX + record_bytes(content))
        at_us = int(content["at_us"])
    except OSError as error:
        raise RulesError(f"{path}: cannot be read ({error.strerror})", f"{path}：无法读取") from None
    except (ValueError, KeyError, TypeError, AttributeError, LabelError):
        raise RulesError(f"{path}: is no checkpoint of this log's format", f"{path}：不是检查点文件") from None
    if not valid:
        raise RulesError(
            f"{path}: its signature doesn't hold; use the file as it was exported",
            f"{path}：签名无效，请使用原始导出文件",
        )
    return Checkpoint(at_us, heads, keys)

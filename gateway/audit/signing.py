"""Signed heads: Ed25519 over the last link of a chain, so that what came before can't be written anew.

A public key is stored with the word of the key before it ("voucher"), so that after a rotation the first key still
leads to all later ones. The format of the file is that of the labels' key.
"""

import logging
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.labels.signing_key import SigningKey, load_or_create_key, parse_public_key
from gateway.audit.acts import Act, record_act
from gateway.audit.tables import SigningKeyRow
from gateway.store import writing

log = logging.getLogger("opcgate.audit")


@dataclass(frozen=True, slots=True)
class Signature:
    """A signed head of a chain; `at_us` is when it was signed."""

    writer: str
    seq: int
    own: bytes
    at_us: int
    key_id: str
    signature: bytes

    def said(self) -> bytes:
        """The bytes that are signed."""
        return head_bytes(self.writer, self.seq, self.own, self.at_us, self.key_id)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key; `vouched_by` is the key that vouches for it with `voucher`, None for a first key."""

    id: str
    public: str
    since_us: int
    vouched_by: str | None
    voucher: bytes | None

    def verifies(self, signature: bytes, said: bytes) -> bool:
        """Whether this key signed those bytes."""
        try:
            parse_public_key(self.public).verify(signature, said)
        except InvalidSignature:
            return False
        return True


def sign_head(key: SigningKey, writer: str, seq: int, own: bytes, at_us: int) -> Signature:
    """Sign a head."""
    return Signature(writer, seq, own, at_us, key.id, key.private.sign(head_bytes(writer, seq, own, at_us, key.id)))


def head_bytes(writer: str, seq: int, own: bytes, at_us: int, key_id: str) -> bytes:
    """What a head's signature says, field by field, parted by zero bytes."""
    return f"opcgate-audit-head-v1\0{writer}\0{seq}\0{own.hex()}\0{at_us}\0{key_id}".encode()


def voucher_bytes(key_id: str, public: str) -> bytes:
    """What a key says when it vouches for the one after it."""
    return f"opcgate-audit-key-v1\0{key_id}\0{public}".encode()


async def publish_key(engine: AsyncEngine, key: SigningKey, actor: str) -> None:
    """Store the public key, with an act, unless it is stored."""
    try:
        async with writing(engine) as connection:
            if key.id not in {one.id for one in await public_keys(connection)}:
                await _store(connection, key, None, None, actor)
    except IntegrityError:
        return  # another worker was first


async def rotate_key(engine: AsyncEngine, path: Path, actor: str) -> SigningKey:
    """Make a new key that the old one vouches for; the old one stays beside it as `<file>.<id>`. Raises RulesError.

    Running workers take the new key when they start anew; until then they go on with the old one.
    """
    old = load_or_create_key(path)
    await publish_key(engine, old, actor)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    new = load_or_create_key(draft)
    voucher = old.private.sign(voucher_bytes(new.id, new.public_text))
    async with writing(engine) as connection:
        await _store(connection, new, old.id, voucher, actor)
    path.with_name(f"{path.name}.{old.id}").hardlink_to(path)
    draft.replace(path)
    return new


async def _store(
    connection: AsyncConnection, key: SigningKey, vouched_by: str | None, voucher: bytes | None, actor: str
) -> None:
    row = {"id": key.id, "public": key.public_text, "since_us": int(time.time() * 1_000_000)}
    await connection.execute(insert(SigningKeyRow).values(row | {"vouched_by": vouched_by, "voucher": voucher}))
    detail = {"public": key.public_text, "vouched_by": vouched_by}
    await record_act(connection, Act(actor, "audit.key", key.id, detail))


async def public_keys(connection: AsyncConnection) -> list[PublicKey]:
    """Every key that signs or signed here, the oldest first."""
    rows = await connection.execute(select(*SigningKeyRow.__table__.columns).order_by(SigningKeyRow.since_us))
    return [PublicKey(*row) for row in rows]

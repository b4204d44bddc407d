"""Redeem codes: made in batches, stored as digests, redeemed once.

A wrong code gets one answer whatever is wrong with it, and few tries a minute: codes can't be probed.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from compliance.labels.ids import new_content_id
from gateway.errors import InvalidRequest, RateLimited
from gateway.ledger.postings import NewGrant, create_grant
from gateway.ledger.tables import Code, Grant, RedeemTries

PREFIX = "OPCV"
RANDOM_BYTES = 20
MINUTE = timedelta(minutes=1)


class NotRedeemable(InvalidRequest):
    """Unknown, used, or past its time: which, isn't said."""

    code = "code_not_redeemable"


@dataclass(frozen=True, slots=True)
class Batch:
    """Codes to be made: how many, worth how much, until when they and their grants are valid."""

    count: int
    issuer: str
    amount: int
    valid_until: datetime
    models: tuple[str, ...] | None = None
    region: str | None = None


def make_codes(connection: Connection, now: datetime, batch: Batch) -> tuple[str, list[str]]:
    """Store a batch and return its id and the codes, which can't be had again. 160 random bits each."""
    batch_id = "bat_" + new_content_id(now.timestamp())
    codes = [_new_code() for _ in range(batch.count)]
    connection.execute(
        insert(Code),
        [
            {
                "id": "cod_" + new_content_id(now.timestamp()),
                "batch": batch_id,
                "digest": digest_of(code),
                "issuer": batch.issuer,
                "amount": batch.amount,
                "valid_until": batch.valid_until,
                "models": None if batch.models is None else list(batch.models),
                "region": batch.region,
                "created_at": now,
            }
            for code in codes
        ],
    )
    return batch_id, codes


def _new_code() -> str:
    text = base64.b32encode(secrets.token_bytes(RANDOM_BYTES)).decode()
    return "-".join([PREFIX, *(text[start : start + 8] for start in range(0, len(text), 8))])


def digest_of(code: str) -> str:
    """SHA-256 of a code as it was printed; spaces, dashes and lower case don't matter."""
    plain = "".join(one for one in code.upper() if one.isalnum()).removeprefix(PREFIX)
    return hashlib.sha256(plain.encode()).hexdigest()


def redeem(connection: Connection, now: datetime, holder: str, code: str, by: str, tries: int) -> str | None:
    """Turn a code into a grant of the holder and return its id; None for a code that can't be redeemed.

    The holder's own code gives the same grant again. The transaction must be committed in every case: it counts
    the failure. Raises RateLimited after too many of them.
    """
    if _failures(connection, now, holder) >= tries:
        raise RateLimited("Too many wrong codes; wait a minute. 兑换失败次数过多，请一分钟后再试。", retry_after=60)
    digest = digest_of(code)
    taken = (
        update(Code)
        .where(Code.digest == digest, Code.redeemed_at.is_(None), Code.valid_until > now)
        .values(redeemed_at=now, redeemed_by=holder)
    )
    fresh = bool(connection.execute(taken).rowcount)
    row = connection.execute(
        select(*Code.__table__.columns).where(Code.digest == digest, Code.redeemed_by == holder)
    ).first()
    if row is None:
        _count_failure(connection, now, holder)
        return None
    if not fresh:
        return _granted(connection, row.issuer, row.id)
    models = None if row.models is None else tuple(row.models)
    grant = NewGrant(holder, row.issuer, row.id, row.amount, now, row.valid_until, models, row.region)
    return create_grant(connection, now, grant, by)


def not_redeemable() -> NotRedeemable:
    """The one answer to every wrong code."""
    return NotRedeemable(
        "This code can't be redeemed: it is wrong, used or past its time. 兑换码无效、已使用或已过期。", param="code"
    )


def _granted(connection: Connection, issuer: str, number: str) -> str | None:
    return connection.execute(select(Grant.id).where(Grant.issuer == issuer, Grant.number == number)).scalar()


def _failures(connection: Connection, now: datetime, holder: str) -> int:
    row = connection.execute(
        select(RedeemTries.since, RedeemTries.failures).where(RedeemTries.tenant == holder)
    ).first()
    return int(row.failures) if row is not None and abs(now - row.since) < MINUTE else 0


def _count_failure(connection: Connection, now: datetime, holder: str) -> None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    fresh = _failures(connection, now, holder) == 0
    row = dialect.insert(RedeemTries).values(tenant=holder, since=now, failures=1)
    again = {"since": now, "failures": 1} if fresh else {"failures": RedeemTries.failures + 1}
    connection.execute(row.on_conflict_do_update(index_elements=["tenant"], set_=again))

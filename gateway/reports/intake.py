"""Taking a report in: rate limits, a scan, its texts encrypted, its row and act in one transaction."""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.pipeline import Pipeline
from compliance.verdict import ScannerError
from configs.sections.reports import ReportSettings
from gateway.audit.acts import Act, record_act
from gateway.audit.canonical import moment_of
from gateway.audit.tables import TextRow
from gateway.audit.text_keys import TextKeys
from gateway.audit.texts import Part, SealedText, seal_text
from gateway.errors import InvalidRequest, RateLimited
from gateway.reports.deadline import due_at
from gateway.reports.shapes import NewReport, Receipt
from gateway.reports.tables import ReportRow
from gateway.store import RequestRecord, writing

HOUR = timedelta(hours=1)
RECEIVED = {
    "zh": "已收到您的投诉举报。请保存编号与查询码，可凭其查询处理进展。",
    "en": "Your report was received. Keep its number and secret: with them you can look up how it stands.",
}


class TooManyReports(RateLimited):
    """This address, or everybody together, has sent too many reports within the hour."""

    code = "too_many_reports"
    retry_after_seconds = 60


@dataclass(frozen=True, slots=True)
class Intake:
    """What a report is taken in with."""

    engine: AsyncEngine
    settings: ReportSettings
    keys: TextKeys
    pipeline: Pipeline

    async def take(self, report: NewReport, address: str | None, now: float) -> Receipt:
        """Store a report. Raises InvalidRequest, TooManyReports."""
        self._check(report)
        received = moment_of(int(now * 1_000_000))
        number = f"RPT-{received:%Y%m%d}-{base64.b32encode(secrets.token_bytes(7)).decode()[:10]}"
        secret = secrets.token_urlsafe(24)
        findings = await asyncio.to_thread(self._findings, report.text) if report.text else []
        texts = self._texts(report, number)
        due = due_at(received, self.settings)
        where = self._address_digest(address)
        async with writing(self.engine) as connection:
            await self._refuse_too_many(connection, where, received)
            request = await _request_of(connection, report)
            row = {
                "number": number,
                "secret_digest": hashlib.sha256(secret.encode()).hexdigest(),
                "address_digest": where,
                "received_at": received,
                "due_at": due,
                "state": "received",
                "reason": report.reason,
                "language": report.language,
                "content": report.content_id or report.request_id,
                "request": request,
                "parts": [one.part for one in texts],
                "findings": findings,
            }
            await connection.execute(insert(ReportRow).values(row))
            for text in texts:
                await connection.execute(insert(TextRow).values(_columns(text)))
            detail = {
                "reason": report.reason,
                "content": row["content"],
                "request": request,
                "texts": {one.part: one.digest for one in texts},
            }
            await record_act(connection, Act("public", "reports.create", number, detail))
        return Receipt(
            number=number, secret=secret, received_at=received, due_at=due, message=RECEIVED[report.language]
        )

    def _check(self, report: NewReport) -> None:
        if report.reason not in {one.id for one in self.settings.reasons}:
            known = ", ".join(one.id for one in self.settings.reasons)
            raise InvalidRequest(f"Field 'reason' must be one of {known}. 举报原因无效。", param="reason")
        for name in ("text", "detail"):
            if len(getattr(report, name) or "") > self.settings.max_text_characters:
                raise InvalidRequest(
                    f"Field '{name}' has at most {self.settings.max_text_characters} characters. 文字过长。", param=name
                )

    def _findings(self, text: str) -> list[dict[str, Any]]:
        """What the default rules see in the reported text, without the text: it helps to order the queue."""
        try:
            found = self.pipeline.scan(text, "output").findings
        except ScannerError:
            return [{"risk": None, "severity": None, "type": "not_scanned"}]
        kinds = {(one.risk, one.severity, one.type) for one in found}
        return [
            {"risk": risk, "severity": str(severity), "type": type_} for risk, severity, type_ in sorted(kinds, key=str)
        ]

    def _texts(self, report: NewReport, number: str) -> list[SealedText]:
        said: tuple[tuple[Part, str | None], ...] = (
            ("text", report.text),
            ("detail", report.detail),
            ("contact", report.contact),
        )
        return [seal_text(self.keys, number, part, text.encode()) for part, text in said if text]

    def _address_digest(self, address: str | None) -> str:
        """A keyed hash, so that addresses can be counted and not read. Of IPv6 the network of 64 bits counts."""
        where = address or "unknown"
        try:
            parsed = ipaddress.ip_address(where)
        except ValueError:
            parsed = None
        if isinstance(parsed, ipaddress.IPv6Address):
            where = str(ipaddress.ip_network((parsed, 64), strict=False))
        key = self.keys.keys[self.keys.newest]
        return hmac.new(key, b"report address\0" + where.encode(), "sha256").hexdigest()

    async def _refuse_too_many(self, connection: AsyncConnection, where: str, now: datetime) -> None:
        lately = select(func.count()).select_from(ReportRow).where(ReportRow.received_at > now - HOUR)
        mine = (await connection.execute(lately.where(ReportRow.address_digest == where))).scalar_one()
        if mine >= self.settings.per_address_per_hour:
            raise TooManyReports(
                f"At most {self.settings.per_address_per_hour} reports an hour from one address. "
                "提交过于频繁，请稍后再试。"
            )
        if (await connection.execute(lately)).scalar_one() >= self.settings.per_hour:
            raise TooManyReports("Too many reports right now; try again in a minute. 提交人数过多，请稍后再试。")


async def _request_of(connection: AsyncConnection, report: NewReport) -> str | None:
    """The request that the content came from, where it is one of ours."""
    name = report.request_id or (f"req_{report.content_id}" if report.content_id else None)
    if name is None:
        return None
    return (await connection.execute(select(RequestRecord.id).where(RequestRecord.id == name))).scalar_one_or_none()


def _columns(text: SealedText) -> dict[str, Any]:
    return {
        "owner": text.owner, "part": text.part, "key_id": text.key_id, "wrapped": text.wrapped, "sealed": text.sealed,
    }  # fmt: skip


def same_secret(secret: str, digest: str) -> bool:
    """Whether a secret is a report's own; takes as long for wrong ones."""
    return hmac.compare_digest(hashlib.sha256(secret.encode()).hexdigest(), digest)

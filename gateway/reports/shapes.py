"""What is sent to and shown by the routes of reports."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, model_validator

from configs.strict import Strict

Language = Literal["zh", "en"]
State = Literal["received", "assigned", "decided"]
Decision = Literal["upheld", "rejected", "duplicate"]
WITHOUT_NUL = r"^[^\x00]*$"
"""PostgreSQL keeps no zero characters."""

NUMBER = r"^RPT-\d{8}-[A-Z2-7]{10}$"


class NewReport(Strict):
    """A report: which content (by its label's content id, a request id, or as text), and what is wrong with it."""

    content_id: str | None = Field(
        None, pattern=r"^[\x21-\x7e]{1,60}$", description="ProduceID in the label / 标识中的编号"
    )
    request_id: str | None = Field(None, pattern=r"^req_[0-9a-f]{32}$", description="x-request-id / 请求编号")
    text: str | None = Field(None, min_length=1, description="The content itself / 内容原文")
    reason: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="An id from /reports/guide / 举报原因")
    detail: str | None = Field(None, min_length=1, description="What is wrong / 情况说明")
    contact: str | None = Field(None, min_length=1, max_length=200, description="Optional / 联系方式（选填）")
    language: Language = "zh"

    @model_validator(mode="after")
    def _names_a_content(self) -> "NewReport":
        if not (self.content_id or self.request_id or self.text):
            raise ValueError("give content_id, request_id or text 请提供 content_id、request_id 或 text")
        return self


class Receipt(Strict):
    """The answer to a report; the secret is shown this once."""

    object: Literal["report.receipt"] = "report.receipt"
    number: str
    secret: str
    received_at: datetime
    due_at: datetime
    message: str


class Progress(Strict):
    """What a reporter is told of its report."""

    object: Literal["report"] = "report"
    number: str
    state: State
    received_at: datetime
    due_at: datetime
    overdue: bool
    decision: Decision | None = None
    decided_at: datetime | None = None
    answer: str | None = None


class Case(Strict):
    """A report as reviewers see it, without what the reporter wrote: that is read for a reason."""

    object: Literal["report.case"] = "report.case"
    number: str
    state: State
    reason: str
    language: Language
    received_at: datetime
    due_at: datetime
    overdue: bool
    content_id: str | None
    request_id: str | None
    tenant: str | None
    key_id: str | None
    parts: list[str]
    findings: list[dict[str, Any]]
    assigned_to: str | None
    decision: Decision | None
    decided_at: datetime | None
    decided_by: str | None
    why: str | None
    answer: str | None
    duplicate_of: str | None
    consequences: list[dict[str, Any]]


class Assignment(Strict):
    """Who is to decide; None for whoever sends this."""

    to: str | None = Field(None, min_length=1, max_length=100, pattern=WITHOUT_NUL)


class Suspension(Strict):
    """Suspend the key that asked for the content; without hours until it is restored."""

    hours: float | None = Field(None, gt=0, le=87_600)


class Verdict(Strict):
    """A decision: why (internal), and the answer to the reporter in its language; None for a standard one."""

    decision: Decision
    why: str = Field(min_length=1, max_length=2000, pattern=WITHOUT_NUL)
    answer: str | None = Field(None, min_length=1, max_length=2000, pattern=WITHOUT_NUL)
    duplicate_of: str | None = Field(None, pattern=NUMBER)
    suspend_key: Suspension | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "Verdict":
        if (self.decision == "duplicate") != (self.duplicate_of is not None):
            raise ValueError("duplicate_of goes with decision duplicate 重复举报须且仅须填写 duplicate_of")
        if self.suspend_key is not None and self.decision != "upheld":
            raise ValueError("only an upheld report has consequences 仅成立的举报可暂停密钥")
        return self


class WhyRead(Strict):
    """Why what the reporter wrote is read."""

    reason: str = Field(min_length=1, max_length=500, pattern=WITHOUT_NUL)

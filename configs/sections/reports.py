"""Settings of reports."""

from datetime import date

from pydantic import Field, field_validator

from configs.strict import Strict


class ReasonSettings(Strict):
    """A reason that a reporter may choose."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    zh: str = Field(min_length=1, max_length=60)
    en: str = Field(min_length=1, max_length=100)


REASONS = (
    ReasonSettings(id="illegal", zh="违法违规内容", en="illegal content"),
    ReasonSettings(id="false_information", zh="虚假或有害信息", en="false or harmful information"),
    ReasonSettings(id="discrimination", zh="歧视性内容", en="discrimination"),
    ReasonSettings(id="minors", zh="危害未成年人", en="harm to minors"),
    ReasonSettings(id="infringement", zh="侵犯知识产权或其他权益", en="infringement of rights"),
    ReasonSettings(id="personal_information", zh="泄露个人信息", en="disclosure of personal information"),
    ReasonSettings(id="missing_label", zh="生成合成内容未标识", en="generated content without a label"),
    ReasonSettings(id="service", zh="服务投诉", en="complaint about the service"),
    ReasonSettings(id="other", zh="其他", en="other"),
)


class ReportSettings(Strict):
    """Complaints and reports of the public (docs/complaints.md). Working time is local to `utc_offset_hours`.

    A report is to be decided within `decide_working_hours` of working time; `working_days` counts Monday as 0;
    `holidays` are days without work, `extra_working_days` weekend days with it. A reporter's address is counted as a
    keyed hash. Reports and their texts are deleted `retention_days` after their decision.
    """

    open: bool = True
    reasons: tuple[ReasonSettings, ...] = Field(REASONS, min_length=1)
    max_body_bytes: int = Field(32 * 1024, ge=1024)
    max_text_characters: int = Field(4000, ge=1)
    per_address_per_hour: int = Field(10, ge=1)
    per_hour: int = Field(600, ge=1)
    decide_working_hours: float = Field(24.0, gt=0)
    utc_offset_hours: float = Field(8.0, ge=-12, le=14)
    working_days: tuple[int, ...] = Field((0, 1, 2, 3, 4), min_length=1)
    work_begins_hour: int = Field(9, ge=0, le=23)
    work_ends_hour: int = Field(18, ge=1, le=24)
    holidays: tuple[date, ...] = ()
    extra_working_days: tuple[date, ...] = ()
    retention_days: int = Field(180, ge=180)

    @field_validator("working_days")
    @classmethod
    def _are_days_of_the_week(cls, days: tuple[int, ...]) -> tuple[int, ...]:
        if any(day not in range(7) for day in days):
            raise ValueError("days of the week are 0 (Monday) to 6 (Sunday)")
        return days

    def model_post_init(self, _context: object) -> None:
        if self.work_ends_hour <= self.work_begins_hour:
            raise ValueError("work_ends_hour must be after work_begins_hour")

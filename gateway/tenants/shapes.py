"""What the control API takes and gives for organisations, members and keys."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from configs.schema import LabelPosition
from configs.sections.catalog import ModelId
from gateway.moments import utc
from gateway.tenants.caller import Role, Scope


def _within_the_calendar(moment: datetime) -> datetime:
    """What callers send without a time zone is in UTC."""
    try:
        return utc(moment)
    except OverflowError:
        raise ValueError("write a moment between the years 1 and 9999") from None


def _printable(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("write visible characters on one line")
    return text.strip()


def _different(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise ValueError("each value only once")
    return values


Moment = Annotated[datetime, AfterValidator(_within_the_calendar)]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]
Contact = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
Short = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(_printable)]
Notes = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_printable)]
Email = Annotated[str, Field(max_length=200, pattern=r"^[^@\s]{1,100}@[^@\s]+\.[^@\s]+$"), AfterValidator(_printable)]
OrganisationId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,59}$")]
PolicyName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=4), AfterValidator(_different)]
Models = Annotated[list[ModelId], Field(min_length=1, max_length=200), AfterValidator(_different)]
Addresses = Annotated[list[str], Field(min_length=1, max_length=100), AfterValidator(_different)]


class Body(BaseModel):
    """A body that a caller sends: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class OrganisationChange(Body):
    """What may be changed of an organisation; a field that is left out stays as it is, null takes it away."""

    name: Name | None = None
    credit_code: str | None = Field(None, max_length=40, description="Unified social credit code. / 统一社会信用代码。")
    contact: Contact | None = None
    region: Short | None = None
    sector: Short | None = Field(None, description="One of tenants.sectors. / 所属行业。")
    policy: PolicyName | None = None
    label_position: LabelPosition | None = None


class NewOrganisation(OrganisationChange):
    """An organisation to be made."""

    id: OrganisationId
    name: Name


class Organisation(BaseModel):
    """An organisation as it is shown."""

    object: Literal["organisation"] = "organisation"
    id: str
    name: str
    credit_code: str | None
    contact: str | None
    region: str | None
    sector: str | None
    status: str
    policy: str | None
    label_position: str | None
    created_at: Moment


class NewMember(Body):
    """A member to be made."""

    name: Name
    email: Email
    role: Role = "caller"
    owner: bool = False


class MemberChange(Body):
    """What may be changed of a member; a field that is left out stays as it is."""

    name: Name = ""
    email: Email = ""
    role: Role = "caller"
    owner: bool = False
    status: Literal["active", "suspended"] = "active"


class Member(BaseModel):
    """A member as it is shown; `email` is masked except to operators, owners and the member."""

    object: Literal["member"] = "member"
    id: str
    organisation: str
    name: str
    email: str
    role: str
    owner: bool
    status: str
    created_at: Moment


class KeyChange(Body):
    """What may be changed of a key; a field that is left out stays as it is, null takes a limit away."""

    name: Name = ""
    role: Role | None = None
    scopes: Scopes | None = None
    models: Models | None = None
    addresses: Addresses | None = Field(None, description="Addresses or CIDRs it may be used from. / 允许的来源地址。")
    expires_at: Moment | None = None
    notes: Notes | None = None
    policy: PolicyName | None = None
    label_position: LabelPosition | None = None


class NewKey(KeyChange):
    """A key to be made, for a member, or for the organisation itself (role caller)."""

    name: Name
    organisation: str | None = Field(None, max_length=60, description="Default: the caller's own. / 默认为本企业。")
    member: str | None = Field(None, max_length=24)


class Key(BaseModel):
    """A key as it is shown; the key itself is not stored. `role` is None for its member's."""

    object: Literal["api_key"] = "api_key"
    id: str
    name: str
    organisation: str
    member: str | None
    role: str | None
    scopes: list[str] | None
    models: list[str] | None
    addresses: list[str] | None
    notes: str | None
    policy: str | None
    label_position: str | None
    version: int
    status: Literal["active", "expired", "suspended", "revoked"]
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    previous_until: Moment | None
    last_used_at: Moment | None


class NewSecret(BaseModel):
    """A key's secret, shown this once."""

    object: Literal["api_key.secret"] = "api_key.secret"
    key: Key
    secret: str


class Rotation(Body):
    """How a key is rotated."""

    overlap_hours: float | None = Field(
        None, ge=0, le=720, description="The old secret stays valid so long. / 旧密钥继续有效的小时数。"
    )


class Suspension(Body):
    """How a key is suspended."""

    hours: float | None = Field(None, gt=0, le=87_600, description="Default: until restored. / 默认直至恢复。")


class Me(BaseModel):
    """Who the caller is and what its key may do. None: no limit."""

    object: Literal["me"] = "me"
    key: str
    key_version: int
    organisation: str | None
    member: str | None
    role: Role
    owner: bool
    scopes: list[str]
    models: list[str] | None
    expires_at: Moment | None
    policy: str | None
    label_position: str | None


class ShownAct(BaseModel):
    """An administrative act."""

    object: Literal["act"] = "act"
    id: str
    at: Moment
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]

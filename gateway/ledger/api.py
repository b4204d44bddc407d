"""Control routes of vouchers: operators give, import, withdraw and print codes; holders see, redeem and read."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import select

from gateway.control.access import Actor, gateway_of, nothing_here, require
from gateway.control.paging import After, Limit, Page, page, page_of
from gateway.errors import InvalidRequest
from gateway.ledger.amounts import parse_amount
from gateway.ledger.codes import Batch, not_redeemable
from gateway.ledger.desk import give, grant_row, print_codes, redeem_code, take_back
from gateway.ledger.postings import NewGrant
from gateway.ledger.shapes import (
    Codes,
    NewCodes,
    NewVoucher,
    RedeemedCode,
    ShownBalance,
    ShownPrice,
    Voucher,
    allowance,
    money,
    shown,
)
from gateway.ledger.statement import as_csv, as_json, balance_of, make_statement
from gateway.ledger.tables import Grant
from gateway.moments import utc
from gateway.store import writing

router = APIRouter(tags=["vouchers"])
Anyone = Annotated[Actor, Depends(require())]
Operator = Annotated[Actor, Depends(require("operator"))]
Tenant = Annotated[str | None, Query(max_length=60, description="An operator may name any holder. / 持券方。")]


@router.get("/balance", summary="What is left: vouchers and free allowances. / 算力券余额与免费额度。")
async def balance(request: Request, actor: Anyone, tenant: Tenant = None) -> ShownBalance:
    gateway, holder = gateway_of(request), _holder(actor, tenant)
    async with gateway.database.connect() as connection:
        found = await connection.run_sync(balance_of, holder, _now(request))
    return ShownBalance(
        tenant=holder,
        available=money(found.available),
        reserved=money(found.reserved),
        vouchers=[shown(one) for one in found.grants],
        allowances=[allowance(one) for one in found.allowances],
    )


@router.get("/vouchers", summary="List vouchers: an operator sees all, others their own. / 列出算力券。")
async def list_vouchers(
    request: Request, actor: Anyone, tenant: Tenant = None, limit: Limit = 100, after: After = None
) -> Page[Voucher]:
    query = select(*Grant.__table__.columns).where(Grant.unit == "voucher")
    if not actor.is_operator or tenant is not None:
        query = query.where(Grant.tenant == _holder(actor, tenant))
    async with gateway_of(request).database.connect() as connection:
        return page_of(shown, *await page(connection, query, (Grant.created_at, Grant.id), limit, after))


@router.post("/vouchers", status_code=201, summary="Grant a voucher. / 发放算力券。")
async def create_voucher(request: Request, actor: Operator, body: NewVoucher) -> Voucher:
    if body.valid_until <= body.valid_from:
        raise InvalidRequest(
            "Field 'valid_until' must be after 'valid_from'. 失效时间须晚于生效时间。", param="valid_until"
        )
    models = None if body.models is None else tuple(body.models)
    grant = NewGrant(
        body.tenant, body.issuer, body.number, parse_amount(body.units),
        body.valid_from, body.valid_until, models, body.region,
    )  # fmt: skip
    async with writing(gateway_of(request).database) as connection:
        grant_id = await give(connection, _now(request), grant, actor.name)
        return shown(await grant_row(connection, grant_id))


@router.post("/vouchers/{voucher}/withdraw", summary="Withdraw what is left of a voucher. / 收回算力券余额。")
async def withdraw_voucher(request: Request, actor: Operator, voucher: str) -> Voucher:
    async with writing(gateway_of(request).database) as connection:
        row = await grant_row(connection, voucher)
        if row is None:
            raise nothing_here()
        if await take_back(connection, _now(request), voucher, actor.name) is None:
            raise InvalidRequest(
                f"The voucher is {row.state}; there is nothing to withdraw. 该券已失效。", param="voucher"
            )
        return shown(await grant_row(connection, voucher))


@router.post(
    "/vouchers/codes", status_code=201, summary="Make redeem codes; shown this once. / 生成兑换码，仅显示一次。"
)
async def create_codes(request: Request, actor: Operator, body: NewCodes) -> Codes:
    if body.valid_until <= _now(request):
        raise InvalidRequest("Field 'valid_until' is in the past. 失效时间已过。", param="valid_until")
    models = None if body.models is None else tuple(body.models)
    batch = Batch(body.count, body.issuer, parse_amount(body.units), body.valid_until, models, body.region)
    async with writing(gateway_of(request).database) as connection:
        batch_id, codes = await print_codes(connection, _now(request), batch, actor.name)
    return Codes(batch=batch_id, codes=codes)


@router.post("/vouchers/redeem", summary="Redeem a code for one's own organisation. / 兑换算力券。")
async def redeem_voucher(request: Request, actor: Anyone, body: RedeemedCode) -> Voucher:
    gateway, holder = gateway_of(request), actor.caller.holder
    tries = gateway.settings.ledger.redeem_failures_per_minute
    async with writing(gateway.database) as connection:
        grant_id = await redeem_code(connection, _now(request), holder, body.code, actor.name, tries)
        row = None if grant_id is None else await grant_row(connection, grant_id)
    if row is None:  # raised outside, so that the failure stays counted
        raise not_redeemable()
    return shown(row)


@router.get("/vouchers/statement", response_model=None, summary="Statement of a period, JSON or CSV. / 对账单。")
async def statement(
    request: Request,
    actor: Anyone,
    tenant: Tenant = None,
    since: Annotated[datetime | None, Query(alias="from")] = None,
    until: Annotated[datetime | None, Query(alias="to")] = None,
    form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Response | dict[str, Any]:
    """From `from` (30 days ago) to before `to` (now). opening + lines = closing."""
    gateway, holder, now = gateway_of(request), _holder(actor, tenant), _now(request)
    begins, ends = _period(since, until, now)
    hours = gateway.settings.ledger.day_utc_offset_hours
    async with gateway.database.connect() as connection:
        made = await connection.run_sync(make_statement, holder, begins, ends, hours)
    if form == "csv":
        headers = {"content-disposition": 'attachment; filename="statement.csv"'}
        return Response(as_csv(made), media_type="text/csv; charset=utf-8", headers=headers)
    return as_json(made)


@router.get("/vouchers/prices", summary="Prices for 1,000 tokens; models not named are free. / 模型单价。")
async def prices(request: Request, actor: Anyone) -> list[ShownPrice]:
    settings = gateway_of(request).settings.ledger
    return [
        ShownPrice(model=model, prompt=one.prompt, cached=one.cached or one.prompt, output=one.output)
        for model, one in settings.prices.items()
    ]


def _holder(actor: Actor, tenant: str | None) -> str:
    """Whose vouchers are meant: one's own, or whose an operator names. Raises NotFound for others'."""
    own = actor.caller.holder
    if tenant is not None and tenant != own and not actor.is_operator:
        raise nothing_here()
    return tenant or own


def _now(request: Request) -> datetime:
    return datetime.fromtimestamp(gateway_of(request).clock(), UTC)


def _period(since: datetime | None, until: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    try:
        ends = utc(until) if until else now
        begins = utc(since) if since else ends - timedelta(days=30)
    except OverflowError:  # the first or last day of the calendar
        begins = ends = now
    if begins >= ends:
        raise InvalidRequest("Field 'from' must be before 'to'. 开始时间须早于结束时间。", param="from")
    return begins, ends

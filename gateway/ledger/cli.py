"""Commands: `opcgate vouchers`."""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gateway.control.terminal import cli_actor, fail, settings_at
from gateway.tenants.command import change, valid

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from configs.schema import Settings

vouchers = typer.Typer(
    help="Grant, import and redeem vouchers; statements. / 算力券的发放、导入、兑换与对账。", no_args_is_help=True
)
ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file; default $OPCGATE_CONFIG or configs/opcgate.yaml."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Tenant = Annotated[str, typer.Option(help="Organisation's id, or a key's id for a key without one.")]
Units = Annotated[str, typer.Option(help="Amount in voucher units, like 12.5.")]
Until = Annotated[str, typer.Option("--until", help="Last day (2026-12-31), or a time in ISO 8601.")]
Models = Annotated[list[str] | None, typer.Option("--model", help="Only for this model; may be repeated.")]
Region = Annotated[str | None, typer.Option(help="Only in this region.")]


@vouchers.command()
def grant(
    tenant: Tenant,
    issuer: Annotated[str, typer.Option(help="Who gives it.")],
    number: Annotated[str, typer.Option(help="Its number, unique for the issuer.")],
    units: Units,
    until: Until,
    since: Annotated[str | None, typer.Option("--from", help="First day; default now.")] = None,
    model: Models = None,
    region: Region = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Grant one voucher. / 发放一张算力券。"""
    from gateway.ledger.amounts import parse_amount
    from gateway.ledger.desk import give
    from gateway.ledger.postings import NewGrant
    from gateway.ledger.shapes import NewVoucher

    settings = settings_at(config)
    given = {"tenant": tenant, "issuer": issuer, "number": number, "units": units, "models": model, "region": region}
    begins = _moment(since, settings, "--from") if since else _now()
    ends = _moment(until, settings, "--until", end=True)
    body = valid(NewVoucher, given | {"valid_from": begins, "valid_until": ends})
    if body.valid_until <= body.valid_from:
        fail("--until must be after --from. --until 须晚于 --from。")
    new = NewGrant(
        body.tenant, body.issuer, body.number, parse_amount(body.units), body.valid_from, body.valid_until,
        None if body.models is None else tuple(body.models), body.region,
    )  # fmt: skip
    grant_id = change(settings, lambda db: give(db, _now(), new, cli_actor()))
    _say(f"{grant_id}: {units} for {tenant} / 已发放", {"id": grant_id}, as_json=as_json)


@vouchers.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="CSV with a header, UTF-8; see docs/vouchers.md.")],
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Import a list of vouchers, whole or not at all; a second import changes nothing. / 导入算力券名单。"""
    from compliance.verdict import RulesError
    from gateway.ledger.desk import give_list
    from gateway.ledger.vouchers_csv import read_vouchers

    settings = settings_at(config)
    try:
        text = file.read_text(encoding="utf-8-sig")
        grants = read_vouchers(text, file.name, settings.ledger.day_utc_offset_hours)
        done = change(settings, lambda db: give_list(db, _now(), grants, file.name, cli_actor()))
    except OSError as error:
        fail(f"{file} can't be read ({error.strerror}). 无法读取文件。")
    except UnicodeDecodeError:
        fail(f"{file} is not UTF-8; save it as UTF-8. 文件须为 UTF-8 编码。")
    except RulesError as error:
        fail(str(error))
    words = f"{done.new} new, {done.known} known already / 新增 {done.new}，已有 {done.known}"
    _say(words, {"new": done.new, "known": done.known}, as_json=as_json)


@vouchers.command()
def codes(
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")],
    issuer: Annotated[str, typer.Option(help="Who gives them.")],
    units: Units,
    until: Until,
    model: Models = None,
    region: Region = None,
    config: ConfigPath = None,
) -> None:
    """Make redeem codes and print them, one a line; only their digests are stored. / 生成兑换码。"""
    from gateway.ledger.amounts import parse_amount
    from gateway.ledger.codes import Batch
    from gateway.ledger.desk import print_codes
    from gateway.ledger.shapes import NewCodes

    settings = settings_at(config)
    given = {"count": count, "issuer": issuer, "units": units, "models": model, "region": region}
    body = valid(NewCodes, given | {"valid_until": _moment(until, settings, "--until", end=True)})
    batch = Batch(
        body.count, body.issuer, parse_amount(body.units), body.valid_until,
        None if body.models is None else tuple(body.models), body.region,
    )  # fmt: skip
    batch_id, made = change(settings, lambda db: print_codes(db, _now(), batch, cli_actor()))
    typer.echo(f"{batch_id}: keep the codes below, they are shown only once. 兑换码仅显示一次。", err=True)
    typer.echo("\n".join(made))


@vouchers.command()
def redeem(
    tenant: Tenant,
    code: Annotated[str | None, typer.Argument(help="Left out: read from standard input.")] = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Redeem a code for an organisation. / 代企业兑换。"""
    from gateway.ledger.codes import not_redeemable
    from gateway.ledger.desk import redeem_code, strangers

    settings = settings_at(config)
    text = code or sys.stdin.readline().strip()

    async def use(connection: "AsyncConnection") -> str | None:
        if await strangers(connection, [tenant]):
            fail(f"'{tenant}' is no organisation's id and no key's; see `opcgate tenants list`. 没有这个企业。")
        tries = settings.ledger.redeem_failures_per_minute
        return await redeem_code(connection, _now(), tenant, text, cli_actor(), tries)

    grant_id = change(settings, use)
    if grant_id is None:
        fail(not_redeemable().message)
    _say(f"{grant_id}: redeemed / 已兑换", {"id": grant_id}, as_json=as_json)


@vouchers.command()
def withdraw(
    voucher: Annotated[str, typer.Argument(help="Id from `vouchers balance`.")], config: ConfigPath = None
) -> None:
    """Withdraw what is left of a voucher; requests under way are still paid. / 收回算力券余额。"""
    from gateway.ledger.amounts import format_amount
    from gateway.ledger.desk import take_back

    amount = change(settings_at(config), lambda db: take_back(db, _now(), voucher, cli_actor()))
    if amount is None:
        fail(f"no active voucher has the id '{voucher}'. 没有这张有效的算力券。")
    typer.echo(f"{voucher}: {format_amount(amount)} withdrawn / 已收回")


@vouchers.command()
def balance(tenant: Tenant, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """What a holder has left, voucher by voucher. / 查询余额。"""
    from gateway.ledger.amounts import format_amount
    from gateway.ledger.shapes import shown
    from gateway.ledger.statement import balance_of

    found = change(settings_at(config), lambda db: db.run_sync(balance_of, tenant, _now()))
    rows = [shown(one).model_dump(mode="json") for one in found.grants]
    if as_json:
        sums = {"available": found.available, "reserved": found.reserved}
        typer.echo(json.dumps({"tenant": tenant, **sums, "vouchers": rows}, ensure_ascii=False))
        return
    table = Table("id", "issuer", "number", "available", "reserved", "valid until", "models", "region")
    for row in rows:
        left = (row["available"]["units"], row["reserved"]["units"], row["valid_until"][:16])
        fits = (" ".join(row["models"] or ["all"]), row["region"] or "all")
        table.add_row(row["id"], row["issuer"], row["number"], *left, *fits)
    Console().print(table)
    typer.echo(f"available {format_amount(found.available)}, reserved {format_amount(found.reserved)} / 可用、预留")


@vouchers.command()
def statement(
    tenant: Tenant,
    since: Annotated[str | None, typer.Option("--from", help="First day; default 30 days ago.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Last day; default now.")] = None,
    as_json: AsJson = False,
    config: ConfigPath = None,
) -> None:
    """Print a holder's statement as CSV, or JSON. / 输出对账单。"""
    from gateway.ledger.statement import as_csv, make_statement
    from gateway.ledger.statement import as_json as statement_json

    settings = settings_at(config)
    hours = settings.ledger.day_utc_offset_hours
    ends = _moment(until, settings, "--to", end=True) if until else _now()
    begins = _moment(since, settings, "--from") if since else ends - timedelta(days=30)
    made = change(settings, lambda db: db.run_sync(make_statement, tenant, begins, ends, hours))
    text = json.dumps(statement_json(made), ensure_ascii=False) + "\n" if as_json else as_csv(made)
    sys.stdout.buffer.write(text.encode("utf-8"))


@vouchers.command()
def verify(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Recompute everything from the transfers; names each row that disagrees and ends with 1. / 核对账目。"""
    from gateway.ledger.verify import verify as verify_all

    found = change(settings_at(config), lambda db: db.run_sync(verify_all))
    if as_json:
        typer.echo(json.dumps([{"table": one.table, "id": one.id, "what": one.what} for one in found]))
    elif not found:
        typer.echo("the ledger adds up / 账目相符")
    else:
        for one in found:
            typer.echo(f"{one.table} {one.id}: {one.what}")
    raise typer.Exit(1 if found else 0)


@vouchers.command()
def prices(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Prices for 1,000 tokens in voucher units; models not named are free. / 模型单价。"""
    from configs.loader import load_catalog
    from gateway.from_catalog import prices as all_prices

    settings = settings_at(config)
    rows = [
        {"model": model, "prompt": one.prompt, "cached": one.cached or one.prompt, "output": one.output}
        for model, one in all_prices(settings, load_catalog(settings.catalog)).items()
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("model", "prompt", "cached", "output")
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


def _moment(text: str, settings: "Settings", option: str, *, end: bool = False) -> datetime:
    from gateway.ledger.vouchers_csv import parse_moment

    try:
        return parse_moment(text, settings.ledger.day_utc_offset_hours, end=end)
    except (ValueError, OverflowError):
        fail(f"{option}: write a date like 2026-12-31, or a time in ISO 8601. 日期格式不正确。")


def _say(words: str, found: dict[str, Any], *, as_json: bool) -> None:
    typer.echo(json.dumps(found) if as_json else words)

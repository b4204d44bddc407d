"""Every router of the control API, in the order of its document."""

from fastapi import APIRouter

from gateway.audit import api as audit_api
from gateway.control import me
from gateway.ledger import api as vouchers_api
from gateway.limits import api as limits_api
from gateway.reports import public_api as reports_api
from gateway.reports import review_api as report_cases_api
from gateway.routing import api as nodes_api
from gateway.telemetry import api as statistics_api
from gateway.tenants import key_api, member_api, organisation_api

ROUTERS: tuple[APIRouter, ...] = (
    me.router,
    organisation_api.router,
    member_api.router,
    key_api.router,
    vouchers_api.router,
    nodes_api.router,
    limits_api.router,
    audit_api.router,
    statistics_api.router,
    reports_api.router,
    report_cases_api.router,
)
PREFIX = "/api/v1"

"""Every router of the control API, in the order of its document."""

from fastapi import APIRouter

ROUTERS: tuple[APIRouter, ...] = ()
PREFIX = "/api/v1"

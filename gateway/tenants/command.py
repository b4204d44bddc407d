"""How the commands of tenants reach the database: one transaction each, and errors in one line."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.control.terminal import fail

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from configs.schema import Settings

T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)


def change(settings: "Settings", use: "Callable[[AsyncConnection], Awaitable[T]]") -> T:
    """Run `use` in a transaction of the settings' database, which is brought up to date before; refusals end it."""
    from gateway.errors import GatewayError
    from gateway.store import with_database, writing

    async def within(engine: "AsyncEngine") -> T:
        async with writing(engine) as connection:
            return await use(connection)

    try:
        return asyncio.run(with_database(settings.database, within))
    except GatewayError as error:
        fail(error.message)


def valid(shape: type[B], given: dict[str, Any]) -> B:
    """Options as the body that the API takes, so that both have the same rules; a wrong one ends the command."""
    try:
        return shape.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        option = "-".join(str(part) for part in first["loc"]).replace("_", "-")
        fail(f"--{option}: {first['msg']}. 选项 --{option} 无效。")

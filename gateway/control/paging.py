"""Lists of the control API: newest last, cut into pages by `limit` and `after`."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import Query
from pydantic import BaseModel
from sqlalchemy import ColumnElement, Row, Select, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute

from gateway.errors import NotFound

T = TypeVar("T", bound=BaseModel)
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most. / 每页条数。")]
After = Annotated[
    str | None, Query(max_length=100, description="Id of the last one of the page before. / 上一页最后一条的标识。")
]


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    object: Literal["list"] = "list"
    data: list[T]
    has_more: bool


async def page(
    connection: AsyncConnection,
    query: Select[Any],
    order: Sequence[InstrumentedAttribute[Any] | ColumnElement[Any]],
    limit: int,
    after: str | None,
) -> tuple[Sequence[Row[Any]], bool]:
    """The rows after the one of id `after`, and whether there are more. The last column of `order` is the id.

    Raises NotFound when no row of the list has that id.
    """
    *_, identity = order
    if after is not None:
        place = (await connection.execute(query.with_only_columns(*order).where(identity == after))).first()
        if place is None:
            raise NotFound(
                "Field 'after' isn't the id of anything in this list; give the last id of the page before. "
                "after 须为上一页最后一条的标识。",
                param="after",
            )
        bound = [literal(value, column.type) for value, column in zip(place, order, strict=True)]
        query = query.where(tuple_(*order) > tuple_(*bound))
    rows = (await connection.execute(query.order_by(*order).limit(limit + 1))).all()
    return rows[:limit], len(rows) > limit


def page_of(shown: Callable[[Row[Any]], T], rows: Sequence[Row[Any]], more: bool) -> Page[T]:
    """A page of rows as they are shown."""
    return Page(data=[shown(row) for row in rows], has_more=more)

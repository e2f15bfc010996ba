"""One shape for every list: a page of items, and where the next page begins."""

from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

Item = TypeVar("Item")

Limit = Annotated[int, Query(ge=1, le=200, description="Items on the page, at most.")]


class Page(BaseModel, Generic[Item]):
    """Some items, in order.

    Attributes:
        next: what to send as ``after`` to get the next page; null on the last one.
    """

    items: list[Item]
    next: str | None = Field(description="Send it as `after` for the next page; null on the last.")

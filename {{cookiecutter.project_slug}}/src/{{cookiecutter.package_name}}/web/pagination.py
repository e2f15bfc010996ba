"""One form for every list: a page of items, and the key of the next page."""

from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

Item = TypeVar("Item")

# No control characters: PostgreSQL refuses a text with a zero byte.
PLAIN = r"^[^\x00-\x1f\x7f]*$"
After = Annotated[
    str, Query(max_length=255, pattern=PLAIN, description="`next` of the previous page.")
]
Limit = Annotated[int, Query(ge=1, le=200, description="Maximum number of items on the page.")]


class Page(BaseModel, Generic[Item]):
    """Some items, in order.

    Attributes:
        next: the value for ``after`` to get the next page; null on the last page.
    """

    items: list[Item]
    next: str | None = Field(
        description="Send it as `after` to get the next page; null on the last page."
    )

"""The requests and answers about tenants."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from ..web.pagination import PLAIN


class NewTenant(BaseModel):
    """A tenant to create."""

    id: str = Field(examples=["acme"], description="Letters a-z, digits and underscores.")
    name: str | None = Field(None, max_length=255, pattern=PLAIN, examples=["Acme Inc."])


class TenantDetails(BaseModel):
    """A tenant, as in the registry."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(examples=["acme"])
    name: str = Field(examples=["Acme Inc."])
    status: str = Field(examples=["ready"])
    revision: str | None = Field(examples=["002"])
    error: str | None = Field(
        description="The error of the last migration, if it failed.", examples=[None]
    )
    created_at: datetime

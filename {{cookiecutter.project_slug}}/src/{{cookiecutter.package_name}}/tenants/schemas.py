"""What administrators send and get about tenants."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class NewTenant(BaseModel):
    """A tenant to make."""

    id: str = Field(examples=["acme"], description="Letters a-z, digits and underscores.")
    name: str | None = Field(None, max_length=255, examples=["Acme Inc."])


class TenantDetails(BaseModel):
    """A tenant as the registry has it."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(examples=["acme"])
    name: str = Field(examples=["Acme Inc."])
    status: str = Field(examples=["ready"])
    revision: str | None = Field(examples=["002"])
    error: str | None = Field(description="Why the last migration failed.", examples=[None])
    created_at: datetime

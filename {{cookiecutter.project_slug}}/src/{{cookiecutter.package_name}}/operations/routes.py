"""The state of migrations and instances, as JSON for administrators."""

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query, Request
from sqlalchemy import Engine

from ..errors import ActionableError, HttpError
from ..migrate import MigrationConfig, get_migration_status, read_runs
from ..migrations import config_for
from ..web.admin_key import AdminDep
from ..web.lanes import Lanes
from ..web.pagination import PLAIN, After, Limit, Page
from ..web.problem_details import responses
from .overview import living_instances, read_overview
from .schemas import (
    BackfillDetails,
    ErrorDetails,
    InstanceDetails,
    Migrations,
    RunDetails,
    StatusDetails,
)

T = TypeVar("T")

router = APIRouter(
    prefix="/operations",
    tags=["operations"],
    dependencies=[AdminDep],
    responses=responses(403, 422, 429, 503),
)


async def ask(request: Request, look: Callable[[Engine, MigrationConfig], T]) -> T:
    """Query the database, as one of the requests that may use it.

    Raises:
        HttpError: 503, the database does not answer, or too many requests wait.
    """
    state = request.app.state
    lanes: Lanes = state.lanes
    try:
        return await lanes.database.run(look, state.engine, config_for(state.settings))
    except ActionableError as error:
        if isinstance(error, HttpError):
            raise
        raise HttpError.from_error(error, 503) from None


@router.get("/migrations")
async def read_migrations(
    request: Request,
    after: Annotated[
        str | None,
        Query(pattern=r"^\d{1,9}\.\d{1,9}$", description="The last key of the previous page."),
    ] = None,
    limit: Limit = 50,
    migration: Annotated[
        str | None,
        Query(max_length=255, pattern=PLAIN, description="Only runs of this migration."),
    ] = None,
    failed: Annotated[bool, Query(description="Only runs that failed.")] = False,
) -> Migrations:
    """Applied and pending migrations, and past runs, newest first."""

    def look(engine: Engine, config: MigrationConfig) -> Migrations:
        overview = read_overview(engine, config)
        runs = read_runs(
            engine, config=config, limit=limit + 1, after=after, migration=migration, failed=failed
        )
        status, problem = overview.status, overview.problem
        items = [RunDetails.model_validate(run) for run in runs[:limit]]
        return Migrations(
            items=items,
            next=items[-1].key if len(runs) > limit else None,
            status=StatusDetails(
                sentence=overview.sentence,
                current=status.current,
                applied=len(status.completed),
                pending=list(status.pending),
                held_back=list(status.held_back),
                held_by=list(status.held_by),
                problem=ErrorDetails(**problem.as_dict()) if problem else None,
            ),
        )

    return await ask(request, look)


@router.get("/instances")
async def read_instances(
    request: Request,
    after: After = "",
    limit: Limit = 50,
) -> Page[InstanceDetails]:
    """The serving processes, by id."""
    every = sorted(await ask(request, living_instances), key=lambda one: one.id)
    rows = [one for one in every if one.id > after]
    items = [InstanceDetails.model_validate(row) for row in rows[:limit]]
    return Page(items=items, next=items[-1].id if len(rows) > limit else None)


@router.get("/backfills")
async def read_backfills(
    request: Request,
    after: After = "",
    limit: Limit = 50,
) -> Page[BackfillDetails]:
    """The unfinished backfills with their progress, by migration."""

    def look(engine: Engine, config: MigrationConfig) -> list[BackfillDetails]:
        found = get_migration_status(engine, config=config).backfills
        return [BackfillDetails.model_validate(one) for one in found if one.migration > after]

    rows = sorted(await ask(request, look), key=lambda one: one.migration)
    items = rows[:limit]
    return Page(items=items, next=items[-1].migration if len(rows) > limit else None)

"""What goes beyond AWX about jobs: searching, changes of hosts, differences, dry runs, resuming."""

from __future__ import annotations

from litestar.handlers import HTTPRouteHandler

from controlplane.api.change_routes import change_handlers
from controlplane.api.dry_run_routes import dry_run_handlers
from controlplane.api.job_inventory_routes import job_inventory_handlers
from controlplane.api.resume_routes import resume_handlers
from controlplane.api.run_diff_routes import run_diff_handlers
from controlplane.api.search_routes import search_handlers


def playlog_handlers() -> list[HTTPRouteHandler]:
    """Return the routes below ``/api/playlog/`` that read or launch jobs in ways of their own."""
    return [
        *search_handlers(),
        *change_handlers(),
        *run_diff_handlers(),
        *dry_run_handlers(),
        *resume_handlers(),
        *job_inventory_handlers(),
    ]

"""The execution environment in which a template's next job would run, in the template's detail."""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.api.computed import ByID
from controlplane.shell import environments
from controlplane.shell.read_model import Row, View
from schemas.resource import RESOURCES

SHOWING = frozenset({"job_template", "inventory_source"})


async def add(view: View, kind: str, rows: Sequence[Row], summaries: ByID) -> None:
    """Add ``resolved_environment`` to the summaries of templates that have one."""
    for row in rows if kind in SHOWING else ():
        project = row["project" if kind == "job_template" else "source_project"]
        places = (row["execution_environment"], project, row.get("organization"), row["inventory"])
        found = await environments.resolved(view, *places)
        if found is not None:
            shown = {name: found[name] for name in RESOURCES["execution_environment"].summary}
            summaries.setdefault(row["id"], {})["resolved_environment"] = shown

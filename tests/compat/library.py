"""awxkit as a library, as AWX's own tests use it: run in a process of its own, for it is global."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from awxkit import api, config, exceptions, utils


def connected(url: str, password: str) -> Any:
    """Return the page of the second version, with a session of the superuser."""
    config.base_url = url
    config.assume_untrusted = True
    config.use_sessions = True
    user = {"username": "admin", "password": password}
    config.credentials = utils.PseudoNamespace({"default": user})
    root = api.Api()
    root.load_session()
    return root.get().available_versions.v2.get()


def objects(v2: Any) -> None:
    """Make what hangs together, give a role, and delete it with its dependents."""
    organization = v2.organizations.create()
    inventory = v2.inventory.create(organization=organization)
    assert inventory.ds.organization.id == organization.id
    host = v2.hosts.create(inventory=inventory)
    group = v2.groups.create(inventory=inventory)
    group.add_host(host)
    assert [each.id for each in group.related.hosts.get().results] == [host.id]
    user = v2.users.create(organization=organization)
    organization.set_object_roles(user, "Admin")
    assert user.id in [each.id for each in organization.related.admins.get().results]
    for made in (inventory, user, organization):
        made.silent_delete()


def template(v2: Any, name: str) -> None:
    """Copy a template, survey and schedule it, launch it and wait for its end."""
    found = v2.job_templates.get(name=name).results.pop()
    copied = found.copy()
    assert (copied.playbook, copied.project) == (found.playbook, found.project)
    copied.add_survey()
    assert copied.related.survey_spec.get().spec
    assert copied.add_schedule().unified_job_template == copied.id
    job = found.launch().wait_until_completed(timeout=60)
    job.assert_successful()
    assert job.related.job_events.get().count > 0
    assert "PLAY RECAP" in job.result_stdout
    relaunched = job.relaunch().wait_until_completed(timeout=60)
    assert relaunched.launch_type == "relaunch"


def workflow(v2: Any, name: str) -> None:
    """Make a workflow of two nodes and copy it with them."""
    found = v2.job_templates.get(name=name).results.pop()
    made = v2.workflow_job_templates.create()
    nodes = [
        v2.workflow_job_template_nodes.create(
            workflow_job_template=made, unified_job_template=found
        )
        for _ in range(2)
    ]
    with contextlib.suppress(exceptions.NoContent):
        nodes[0].related.failure_nodes.post({"id": nodes[1].id})
    assert nodes[0].get().failure_nodes == [nodes[1].id]
    assert made.copy().related.workflow_nodes.get().count == 2


def main(url: str, password: str, name: str) -> None:
    """Try it all on one Playlog."""
    v2 = connected(url, password)
    objects(v2)
    template(v2, name)
    workflow(v2, name)


if __name__ == "__main__":
    main(*sys.argv[1:])

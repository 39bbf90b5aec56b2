"""What a launch asks of its project: an update first, a branch of its own, a directory's files."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from controlplane.domain.job import JOB, Claim, Place, ReportFinished
from controlplane.shell import manual_projects
from controlplane.shell.transact import transact
from ops import clock, ids
from schemas import subjects
from schemas.envelope import SYSTEM, Context
from schemas.events.job import JobLaunched, PlaybookLaunch, ProjectContent, ProjectUpdateLaunch
from schemas.output import AttemptFinished
from tests.api.stack import Stack
from tests.api.test_webhooks import send, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


async def project(stack: Stack, name: str, **fields: Any) -> dict[str, Any]:
    """Make a git project of the default organization; its first update has ended well."""
    body = {"name": name, "organization": 1, "scm_type": "git", "scm_url": "https://e.com/x"}
    made = await stack.make("projects", **(body | fields))
    await ended(stack, (await updates(stack, made))[0]["id"], COMMIT)
    return made


async def template(stack: Stack, project: int, **fields: Any) -> dict[str, Any]:
    """Make a template of a project; its playbook is what the update told."""
    inventory = await stack.make("inventories", name=f"i-{ids.new_id()}", organization=1)
    return await stack.make(
        "job_templates",
        name=f"t-{ids.new_id()}",
        project=project,
        inventory=inventory["id"],
        playbook="site.yml",
        **fields,
    )


async def launch(stack: Stack, template: dict[str, Any], **body: Any) -> httpx.Response:
    """Launch a template."""
    return await stack.client.post(f"{template['url']}launch/", json=body)


async def record_of(stack: Stack, job: int) -> JobLaunched:
    """Return a job's launch as it stands in the log."""
    history = await stack.services.store.load(subjects.job(job))
    (launched,) = [
        event for each in history for event in each.events if isinstance(event, JobLaunched)
    ]
    return launched


async def updates(stack: Stack, project: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a project's updates, newest first."""
    found = await stack.client.get(f"{project['url']}project_updates/?order_by=-id")
    results: list[dict[str, Any]] = found.json()["results"]
    return results


async def ended(stack: Stack, job: int, revision: str, status: str = "successful") -> None:
    """Have a project update end as a runner reports it."""
    report = AttemptFinished(
        at=clock.now(),
        runner="r",
        started=clock.now(),
        status=status,
        revision=revision if status == "successful" else "",
        content="c" * 64 if status == "successful" else "",
        galaxy="a" * 64 if status == "successful" else "",
        playbooks=("site.yml",),
    )
    position = 0
    for command in (
        Place(group="default", work_class=1),
        Claim(attempt=1, runner="r"),
        ReportFinished(attempt=1, report=report),
    ):
        message = ids.new_id()
        context = Context(id=message, at=clock.now(), actor=SYSTEM, correlation=message)
        done = await transact(stack.services.store, subjects.job(job), JOB, command, context)
        position = done.position
    assert await stack.services.catch_up.wait("jobs", position, 20)


async def test_jobs_share_the_update_that_they_wait_for(stack: Stack) -> None:
    """With a cache of an hour nothing is fetched; without one ten jobs wait for one update."""
    made = await project(stack, "shared", scm_update_on_launch=True, scm_update_cache_timeout=3600)
    shown = await template(stack, made["id"], allow_simultaneous=True)
    fresh = (await launch(stack, shown)).json()
    assert (await record_of(stack, fresh["id"])).waits_for == ()
    changed = await stack.client.patch(made["url"], json={"scm_update_cache_timeout": 0})
    assert changed.status_code == 200
    answers = await asyncio.gather(*(launch(stack, shown) for _ in range(10)))
    records = [await record_of(stack, each.json()["id"]) for each in answers]
    (update,) = {each.waits_for for each in records}
    newest = (await updates(stack, made))[0]
    assert (newest["id"],) == update
    assert (newest["launch_type"], newest["launched_by"]) == ("dependency", {})
    assert newest["job_tags"] == "update_git,install_roles,install_collections"
    assert len(await updates(stack, made)) == 2
    await ended(stack, newest["id"], "", status="failed")
    again = await record_of(stack, (await launch(stack, shown)).json()["id"])
    assert again.waits_for not in ((), update)
    # Deleted, it makes the one before the newest again: the next job waits for a new one.
    (third,) = again.waits_for
    await ended(stack, third, "", status="failed")
    gone = await stack.client.delete(f"/api/v2/project_updates/{third}/")
    assert gone.status_code == 204
    last = await record_of(stack, (await launch(stack, shown)).json()["id"])
    assert last.waits_for not in ((), update, again.waits_for)


async def test_a_webhook_updates_the_project_first(stack: Stack) -> None:
    """What was pushed is fetched before the job that the push starts."""
    made = await project(stack, "pushed-to", scm_update_on_launch=True)
    shown = await template(stack, made["id"], webhook_service="github")
    key = (await stack.client.get(f"{shown['url']}webhook_key/")).json()["webhook_key"]
    headers = signed(key, b"{}", "push", "guid-of-a-push")
    assert (await send(stack, f"{shown['url']}github/", b"{}", headers)).status_code == 202
    (job,) = (await stack.client.get(f"{shown['url']}jobs/")).json()["results"]
    newest = (await updates(stack, made))[0]
    assert (await record_of(stack, job["id"])).waits_for == (newest["id"],)
    assert newest["launch_type"] == "dependency"


async def test_another_branch_has_a_sync_of_its_own(stack: Stack) -> None:
    """The sync fetches the branch for one job; the project's own state does not follow it."""
    made = await project(stack, "branches", allow_override=True, scm_branch="main")
    shown = await template(stack, made["id"], ask_scm_branch_on_launch=True)
    job = (await launch(stack, shown, scm_branch="topic")).json()
    launched = await record_of(stack, job["id"])
    assert isinstance(launched.record, PlaybookLaunch)
    (sync,) = launched.waits_for
    assert launched.record.project_update == sync
    assert job["related"]["project_update"] == f"/api/v2/project_updates/{sync}/"
    told = (await updates(stack, made))[0]
    assert [told[name] for name in ("id", "scm_branch", "job_type", "launch_type")] == [
        *(sync, "topic", "run", "sync"),
    ]
    before = (await stack.client.get(made["url"])).json()
    await ended(stack, sync, "f" * 40)
    after = (await stack.client.get(made["url"])).json()
    for name in ("scm_revision", "status", "last_job_run"):
        assert after[name] == before[name]
    assert after["scm_revision"] == COMMIT
    own = await record_of(stack, (await launch(stack, shown, scm_branch="main")).json()["id"])
    assert own.waits_for == ()
    again = (await launch(stack, shown, scm_branch="topic")).json()
    canceled = await stack.client.post(f"{again['url']}cancel/", json={})
    assert canceled.status_code == 202
    told = (await updates(stack, made))[0]
    assert told["id"] != sync
    assert told["status"] == "canceled"
    for name in ("one", "two"):
        await stack.make("hosts", name=name, inventory=shown["inventory"])
    await stack.client.patch(shown["url"], json={"job_slice_count": 2})
    sliced = (await launch(stack, shown, scm_branch="topic")).json()
    assert sliced["type"] == "workflow_job"
    assert (await updates(stack, made))[0]["status"] == "pending"
    canceled = await stack.client.post(sliced["related"]["cancel"], json={})
    assert canceled.status_code == 202
    assert (await updates(stack, made))[0]["status"] == "canceled"
    await stack.client.patch(shown["url"], json={"job_slice_count": 1})
    # What was fetched before needs nobody: the sync's commit is here.
    known = await record_of(stack, (await launch(stack, shown, scm_branch="f" * 40)).json()["id"])
    assert known.waits_for == ()
    assert isinstance(known.record, PlaybookLaunch)
    expected = ProjectContent(content="c" * 64, revision="f" * 40, galaxy="a" * 64)
    assert known.record.pinned == expected


async def signer(stack: Stack, name: str) -> int:
    """Make a credential of who signs."""
    types = await stack.client.get("/api/v2/credential_types/?namespace=gpg_public_key")
    made = await stack.make(
        "credentials",
        name=name,
        organization=1,
        credential_type=types.json()["results"][0]["id"],
        inputs={"gpg_public_key": "-----BEGIN PGP PUBLIC KEY BLOCK-----"},
    )
    return int(made["id"])


async def test_only_what_was_verified_is_run(stack: Stack) -> None:
    """From the moment a project names who signs it; after a failed update the last such revision.

    A commit that was fetched before without a signature is fetched anew, and so verified.
    """
    made = await project(stack, "signed-later", allow_override=True)
    shown = await template(stack, made["id"], ask_scm_branch_on_launch=True)

    async def launched(**body: Any) -> JobLaunched:
        return await record_of(stack, (await launch(stack, shown, **body)).json()["id"])

    assert (await launched()).waits_for == ()
    for credential in (await signer(stack, "one"), await signer(stack, "another")):
        named = {"signature_validation_credential": credential}
        assert (await stack.client.patch(made["url"], json=named)).status_code == 200
        own = (await updates(stack, made))[0]["id"]
        assert (await launched()).waits_for == (own,)
        await ended(stack, own, "", status="failed")
        (update,) = (await launched()).waits_for
        assert update != own
        other = (await launched(scm_branch=COMMIT)).record
        assert isinstance(other, PlaybookLaunch)
        assert (other.pinned, other.project_update is None) == (None, False)
        await ended(stack, update, COMMIT)
        assert (await launched()).waits_for == ()
        other = (await launched(scm_branch=COMMIT)).record
        assert isinstance(other, PlaybookLaunch)
        assert other.pinned is not None
    later = (await stack.client.post(f"{made['url']}update/", json={})).json()["id"]
    await ended(stack, later, "", status="failed")
    assert (await launched()).waits_for == ()


async def test_an_update_says_what_it_will_do(stack: Stack) -> None:
    """Tags name the steps; deleting first and the key of who signs go along."""
    key = await signer(stack, "signer")
    made = await project(
        stack,
        "signed",
        scm_type="archive",
        scm_url="https://e.com/x.tar.gz",
        scm_delete_on_update=True,
        signature_validation_credential=key,
    )
    (first,) = await updates(stack, made)
    tags = "update_archive,install_roles,install_collections,validation_gpg_public_key,delete"
    assert first["job_tags"] == tags
    assert first["local_path"] == made["local_path"]
    record = (await record_of(stack, first["id"])).record
    assert isinstance(record, ProjectUpdateLaunch)
    assert record.signature_validation_credential == key


async def test_a_manual_project_runs_what_stands_in_its_directory(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Directories below the root can be chosen, are listed as they are, and packed at launch."""
    root = stack.services.settings.data / "projects"
    for name in ("mine", "_1__taken", ".hidden"):
        (root / name).mkdir(parents=True)
    (root / "mine" / "site.yml").write_text("- hosts: all\n")
    (root / "mine" / "hosts").write_text("web1\n")
    config = (await stack.client.get("/api/v2/config/")).json()
    assert (config["project_base_dir"], config["project_local_paths"]) == (str(root), ["mine"])
    made = await stack.make("projects", name="manual", organization=1, local_path="mine")
    config = (await stack.client.get("/api/v2/config/")).json()
    assert config["project_local_paths"] == []
    assert (await stack.client.get(f"{made['url']}playbooks/")).json() == ["site.yml"]
    assert (await stack.client.get(f"{made['url']}inventories/")).json() == ["hosts"]
    shown = await template(stack, made["id"])
    first, second = [
        (await record_of(stack, (await launch(stack, shown)).json()["id"])).record for _ in "12"
    ]
    assert isinstance(first, PlaybookLaunch)
    assert isinstance(second, PlaybookLaunch)
    assert first.pinned is not None
    assert first.pinned == second.pinned
    assert await stack.services.launch_tools.blobs.exists(first.pinned.content)
    (root / "mine" / "site.yml").write_text("- hosts: web\n")
    third = (await record_of(stack, (await launch(stack, shown)).json()["id"])).record
    assert isinstance(third, PlaybookLaunch)
    assert third.pinned != first.pinned
    (root / "mine" / "more.yml").write_text("- hosts: all\n")
    with monkeypatch.context() as small:
        small.setattr(manual_projects, "BYTES_MAX", 3)
        large = await launch(stack, shown)
    assert large.status_code == 400
    assert large.json() == {"project": ["The project's directory is too large."]}
    (root / "mine" / "more.yml").unlink()
    (root / "mine" / "site.yml").unlink()
    (root / "mine" / "hosts").unlink()
    (root / "mine").rmdir()
    gone = await launch(stack, shown)
    assert gone.status_code == 400
    assert gone.json() == {"project": ["The project's directory 'mine' is missing."]}
    assert msgspec.json.decode(gone.content)


async def test_insights_is_refused_in_words(stack: Stack) -> None:
    """A project of Red Hat Insights is kept, and nothing pretends to update it."""
    body = {"name": "insights", "organization": 1, "scm_type": "insights"}
    made = await stack.make("projects", **body)
    assert made["status"] == "never updated"
    assert (await stack.client.get(f"{made['url']}update/")).json() == {"can_update": False}
    refused = await stack.client.post(f"{made['url']}update/", json={})
    assert refused.status_code == 400
    assert "Insights" in refused.text
    assert await updates(stack, made) == []

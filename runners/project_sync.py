"""A project update, without Ansible (48 times cheaper), told as AWX's playbook events.

Its source leaves the project's tree as a tar archive that depends on its content alone; signature
and requirements are looked at afterwards. A project whose listing cannot be told whole (a name that
is no text) still runs; the name is left out.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from ops.archive_links import leads_outside
from ops.playbook_files import offered
from runners import archive_source, archives, galaxy, git_source, signature, svn_source
from runners.ending import Ending
from runners.git_remote import Refused
from runners.journal import JournalWriter
from runners.preparation import Preparation, Unrunnable
from runners.spec import CONTENT_FILE, GALAXY_FILE
from runners.steps import workspace
from runners.told_play import ToldPlay
from runners.tool import CONTENT_BYTES_MAX, ToolFailed, full_disk_told, too_large

_PLAYBOOK = "project_update.yml"
_PLAY = "Update source tree if necessary"
_LINKS_TOLD_MAX = 20

Source = Callable[[Preparation, ToldPlay, Ending], str]
"""Leaves the content as ``content.tar`` and returns its revision. Raises Refused, ToolFailed."""
_SOURCES: Mapping[str, Source] = {
    "git": git_source.fetch,
    "svn": svn_source.fetch,
    "archive": archive_source.fetch,
}


class Synced(Struct, frozen=True, kw_only=True):
    """How the update ended; a subset of the final frame."""

    status: str
    rc: int = 0
    explanation: str = ""
    scm_revision: str = ""
    content_sha256: str = ""
    galaxy_sha256: str = ""
    playbooks: tuple[str, ...] = ()
    inventory_files: tuple[str, ...] = ()


def sync(job: Preparation, journal: JournalWriter, ending: Ending) -> Synced:
    """Bring a project's content to what its source holds now; leave it as ``content.tar``.

    Raises Stopped when the attempt was ended early.
    """
    play = ToldPlay(journal, _PLAYBOOK, _PLAY)
    play.begin()
    try:
        with full_disk_told():
            result = _update(job, play, ending)
    except (Refused, ToolFailed, Unrunnable) as error:
        for name in (CONTENT_FILE, GALAXY_FILE):
            (job.dir / name).unlink(missing_ok=True)
        workspace.make_room(job)
        shown = getattr(error, "stderr", "")
        play.failed(str(error), **({"stderr": shown} if shown else {}))
        result = Synced(status="failed", rc=getattr(error, "rc", 1), explanation=str(error))
    play.finish()
    return result


def _update(job: Preparation, play: ToldPlay, ending: Ending) -> Synced:
    spec, archive = job.spec, job.dir / CONTENT_FILE
    if spec.scm_delete_first:
        play.task("Delete project directory before update", "command")
        play.done("What is kept of the source is removed", changed=True)
    fetch = _SOURCES.get(spec.scm_type)
    if fetch is None:
        play.task("Check the source of the project", "assert")
        raise Refused(f"A source of type {spec.scm_type!r} cannot be fetched")
    revision = fetch(job, play, ending)
    if archive.stat().st_size > CONTENT_BYTES_MAX:
        raise too_large("The project")
    play.done(_packed(archive))

    play.task(f"Set the {spec.scm_type} repository version", "set_fact")
    play.done(f"Repository Version {revision}", ansible_facts={"scm_version": revision})
    digest = _sha256(archive)
    found = offered(archive, follow_links=spec.follow_links)
    installed = _examine(job, archive, digest, play, ending)
    return Synced(
        status="successful",
        scm_revision=revision,
        content_sha256=digest,
        galaxy_sha256=installed,
        playbooks=found.playbooks,
        inventory_files=found.inventory_files,
    )


def _examine(job: Preparation, archive: Path, digest: str, play: ToldPlay, ending: Ending) -> str:
    """Verify the content where that is asked for, install what it requires; returns its sha256."""
    if not job.spec.validate and not _requires(archive):
        return ""
    tree = job.dir / "tmp" / "tree"
    tree.mkdir()
    archives.unpack(archive, tree)
    if job.spec.validate:
        signature.verify(job, tree, play, ending)
    installed = galaxy.install(job, tree, digest, play, ending) if _requires(archive) else ""
    shutil.rmtree(tree)
    return installed


def _requires(archive: Path) -> bool:
    with tarfile.open(archive) as content:
        return not set(galaxy.FILES).isdisjoint(content.getnames())


def _packed(archive: Path) -> str:
    """Return what is told of a packed project: its size, and links that no job will see."""
    count, outside = 0, []
    with tarfile.open(archive) as content:
        for member in content:
            count += member.isfile()
            if leads_outside(member):
                outside.append(f"{member.name!r} -> {member.linkname!r}")
    text = f"{count} files, {archive.stat().st_size} bytes"
    if outside:
        shown = ", ".join(outside[:_LINKS_TOLD_MAX])
        text += f"\nLeft out, for they lead out of the project: {len(outside)} links: {shown}"
    return text


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

"""What a supervisor is told: the specification on disk, the secrets by a descriptor.

Job directory ``<data>/jobs/<job>-<attempt>/`` (0700):

| entry | written by | holds |
|---|---|---|
| ``spec.json`` | agent, before the start | ``JobSpec`` |
| ``content.tar``, ``inventory.json``, ``facts.json`` | agent, before the start | its inputs |
| ``supervisor.json`` | supervisor, first | pid, start time; once it exists: never start again |
| ``journal`` | Ansible and the supervisor | frames, see ``runners/frames.py`` |
| ``content.tar`` | supervisor of a project update | the project's tree |
| ``galaxy.tar`` | supervisor of a project update | roles and collections that it asks for |
| ``input-0.json`` ... | agent, before the start | what a constructed inventory is made of |
| ``imported.json`` | supervisor of an inventory update | what the source printed |
| ``facts`` | agent, before the start | contents that ``facts.json`` names |
| ``facts-out.json`` | supervisor | facts that the run changed, when the fact cache is used |
| ``home tmp cp project inventory env fact_cache`` | supervisor | the job's private files |

Secrets and what upstream writes about the environment live in memory-backed
``/dev/shm/playlog-<uid>/<place>-<ident>``, where ``<place>`` stands for the data directory.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from runners.isolation.plan import Isolation
from schemas.work import RegistryLogin

Kind = Literal["job", "project_update", "ad_hoc_command", "inventory_update"]

SPEC_FILE = "spec.json"
SUPERVISOR_FILE = "supervisor.json"
JOURNAL_FILE = "journal"
CONTENT_FILE = "content.tar"
INVENTORY_FILE = "inventory.json"
GALAXY_FILE = "galaxy.tar"
FACTS_FILE = "facts.json"
IMPORT_FILE = "imported.json"
FACTS_DIR = "facts"
FACTS_OUT_FILE = "facts-out.json"

FILE_TOKEN = "{{playlog.file.%s}}"  # noqa: S105 - a placeholder
"""Within ``Secrets.env`` and ``Secrets.extra_vars``.

Becomes the path of the named entry of ``Secrets.files``.
"""


class GalaxyServer(Struct, frozen=True, kw_only=True):
    """Where collections come from."""

    url: str
    auth_url: str = ""
    token: str = ""


class JobSpec(Struct, frozen=True, kw_only=True):
    """One attempt, resolved and free of secrets; times in seconds, 0 for no limit."""

    kind: Kind
    job: int = 0
    attempt: int = 0
    org: int = 0
    timeout_s: int = 0
    idle_timeout_s: int = 0
    cancel_grace_s: float = 10.0
    env: dict[str, str] = {}
    """Variables for the job's processes, such as proxies."""
    isolation: Isolation = Isolation()
    event_res_chars_max: int = 700_000
    """Results longer than this as text are left out of their event."""

    playbook: str = ""
    inventory: int | None = None
    project_revision: str = ""
    job_type: Literal["run", "check"] = "run"
    forks: int = 0
    limit: str = ""
    verbosity: int = 0
    extra_vars: dict[str, object] = {}
    jinja_vars: tuple[str, ...] | None = None
    """Names of those that may hold Jinja templates, secret ones never; None: all may."""
    job_tags: str = ""
    skip_tags: str = ""
    start_at_task: str = ""
    force_handlers: bool = False
    become_enabled: bool = False
    diff_mode: bool = False
    use_fact_cache: bool = False
    dry_run: bool = False
    slice_number: int = 0
    slice_count: int = 1
    """Of a sliced run: every n-th host, this one of the first n first."""

    module_name: str = ""
    module_args: str = ""

    source: str = ""
    source_path: str = ""
    source_vars: str = ""
    inventory_source: int | None = None
    inputs: int = 0
    """How many input inventories a constructed one has."""

    project_content: str = ""
    galaxy_content: str = ""
    """sha256 of trees that may be unpacked in the agent's cache, see ``runners/trees.py``."""

    project: int | None = None
    scm_type: str = "git"
    scm_url: str = ""
    scm_branch: str = ""
    scm_refspec: str = ""
    scm_submodules: bool = False
    """Move submodules to the newest commit of their branch; they are fetched in either case."""
    scm_delete_first: bool = False
    """Throw the cached repository away before fetching."""
    validate: bool = False
    """Verify the signed checksums of the project."""
    roles_enabled: bool = False
    collections_enabled: bool = False
    """Install what the project's requirements ask for."""
    galaxy_env: dict[str, str] = {}
    galaxy_ignore_certs: bool = False
    follow_links: bool = False
    """Look for playbooks behind links to directories."""

    @property
    def ident(self) -> str:
        """Name of the attempt: of its directory and its runner artifacts."""
        return f"{self.job}-{self.attempt}"


class Secrets(Struct, frozen=True, kw_only=True):
    """What one attempt needs in clear.

    Handed over by a descriptor, kept in memory, never in argv.
    """

    username: str = ""
    password: str = ""
    ssh_key: str = ""
    ssh_key_passphrase: str = ""
    become_method: str = ""
    become_username: str = ""
    become_password: str = ""
    vaults: dict[str, str] = {}
    """Vault id (empty for the default) to password."""
    extra_vars: dict[str, object] = {}
    """Over ``JobSpec.extra_vars``."""
    env: dict[str, str] = {}
    """What credentials inject into the environment."""
    files: dict[str, str] = {}
    """What credentials inject as files: name to content."""
    injected_vars: dict[str, object] = {}
    """What credentials inject as variables, taken as text; under ``JobSpec.extra_vars``."""
    shown_env: dict[str, str] = {}
    """How injected variables are shown whose values have secret parts."""
    ssh_certificate: str = ""
    """The signed public key that belongs to ``ssh_key``."""
    scm_username: str = ""
    scm_password: str = ""
    scm_key: str = ""
    scm_key_passphrase: str = ""
    registry: RegistryLogin | None = None
    galaxy: tuple[GalaxyServer, ...] = ()
    """In the order in which they are asked."""
    gpg_public_key: str = ""
    mask: tuple[str, ...] = ()
    """Further values to mask in output; those of the secret fields above always are."""

    def known(self) -> tuple[str, ...]:
        """Return every secret value, to be masked in output."""
        named = (
            self.password,
            self.ssh_key,
            self.ssh_key_passphrase,
            self.become_password,
            self.scm_password,
            self.scm_key,
            self.scm_key_passphrase,
            self.registry.password if self.registry else "",
        )
        tokens = [each.token for each in self.galaxy]
        found = [*named, *tokens, *self.vaults.values(), *_texts(self.extra_vars), *self.mask]
        return tuple(each for each in found if each)


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, (list, tuple)):
        return [text for each in value for text in _texts(each)]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return [str(value)] if isinstance(value, str) or is_number else []


def write_spec(job_dir: Path, spec: JobSpec) -> None:
    """Store a specification durably: once it is on disk its work order may be acknowledged."""
    job_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(job_dir / SPEC_FILE, msgspec.json.encode(spec))


def read_spec(job_dir: Path) -> JobSpec:
    """Read a job directory's specification. Raises FileNotFoundError, msgspec.DecodeError."""
    return msgspec.json.decode((job_dir / SPEC_FILE).read_bytes(), type=JobSpec)


def write_private(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that only we may read, whole or not at all, and wait until it is on disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.rename(path)

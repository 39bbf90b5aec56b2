"""What passes between dispatcher, claim service and runner agent.

No message here holds a readable secret.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

WORK_CLASSES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
"""Capacity classes: a work order travels in the smallest one at or above its task impact."""


def work_class(impact: int) -> int:
    """Return the capacity class of a task impact (forks); the largest class takes all above it."""
    return next((each for each in WORK_CLASSES if each >= impact), WORK_CLASSES[-1])


class PlaybookRun(Struct, frozen=True, kw_only=True, tag="job", tag_field="kind"):
    """A playbook to run, resolved: everything the runner needs but the secrets."""

    project_content: str
    """sha256 of the project tree's tar in BLOBS."""
    scm_revision: str
    galaxy_content: str = ""
    """sha256 of the tar of required roles and collections in BLOBS; empty: none."""
    inventory_content: str
    """sha256 of the inventory script's JSON in BLOBS (hosts carry ``remote_tower_id``)."""
    playbook: str
    inventory: int | None = None
    job_type: str = "run"
    forks: int = 0
    limit: str = ""
    verbosity: int = 0
    extra_vars: str = ""
    """JSON object as text: the variables as launched.

    Password answers stand as ``$encrypted$`` here and arrive with the secrets.
    """
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
    """Read the playbook and list hosts and tasks; no host is touched."""
    facts: str = ""
    """sha256 in BLOBS of where the facts of hosts are that the job is given."""
    slice_number: int = 0
    slice_count: int = 1
    """Of a sliced run: every n-th host, this one of the first n first."""


class ProjectSync(Struct, frozen=True, kw_only=True, tag="project_update", tag_field="kind"):
    """A project to fetch; the result is its content by revision digest in BLOBS."""

    project: int
    scm_type: str
    scm_url: str
    scm_branch: str = ""
    scm_refspec: str = ""
    scm_track_submodules: bool = False
    scm_delete_on_update: bool = False
    validate: bool = False
    """Verify the project's signed checksums with the key among the secrets."""
    roles_enabled: bool = False
    collections_enabled: bool = False
    """Install what the requirements ask for, from the servers among the secrets."""
    galaxy_env: dict[str, str] = {}
    galaxy_ignore_certs: bool = False
    follow_links: bool = False
    verbosity: int = 0


class AdHocRun(Struct, frozen=True, kw_only=True, tag="ad_hoc_command", tag_field="kind"):
    """One module to run on hosts of an inventory, without a project."""

    inventory_content: str
    """sha256 of the inventory script's JSON in BLOBS (hosts carry ``remote_tower_id``)."""
    inventory: int | None = None
    module_name: str
    module_args: str = ""
    job_type: str = "run"
    forks: int = 0
    limit: str = ""
    verbosity: int = 0
    extra_vars: str = ""
    """JSON object as text."""
    jinja_vars: tuple[str, ...] | None = ()
    """Names of those that may hold Jinja templates; None: all may."""
    become_enabled: bool = False
    diff_mode: bool = False


class InventorySync(Struct, frozen=True, kw_only=True, tag="inventory_update", tag_field="kind"):
    """An inventory source to read; the result is its content by digest in BLOBS."""

    inventory: int
    inventory_source: int | None = None
    source: str
    source_path: str = ""
    source_vars: str = ""
    limit: str = ""
    verbosity: int = 1
    project_content: str = ""
    """sha256 of the source project's tar in BLOBS, where it reads one."""
    galaxy_content: str = ""
    """sha256 of the roles and collections that the project requires; empty for none."""
    scm_revision: str = ""
    inputs: tuple[str, ...] = ()
    """Constructed: sha256 of each input inventory's content in BLOBS, in order."""
    facts: str = ""
    """Constructed: sha256 in BLOBS of where the facts of their hosts are."""


Payload = PlaybookRun | ProjectSync | AdHocRun | InventorySync


class Image(Struct, frozen=True, kw_only=True):
    """The execution environment that a job is to run in."""

    name: str
    image: str
    pull: str = ""
    """``always``, ``missing`` (what empty means too) or ``never``."""


class Limits(Struct, frozen=True, kw_only=True):
    """What a job may use of its runner's machine; 0 sets no limit."""

    memory_bytes: int = 0
    processes: int = 0
    cpu_percent: int = 0
    """Of one processor: 250 are two and a half."""


class Apart(Struct, frozen=True, kw_only=True):
    """How a job is to be kept apart from the machine it runs on."""

    environment: Image | None = None
    required: Literal["", "sandbox", "environment"] = ""
    """What it must not run without."""
    mounts: tuple[str, ...] = ()
    """``source:target:option``: directories of the machine that it is to see."""
    options: tuple[str, ...] = ()
    """Further options of the container engine's ``run``."""
    limits: Limits = Limits()


class WorkOrder(Struct, frozen=True, kw_only=True):
    """One placed attempt on a work subject; its message id is ``<job>-<attempt>``."""

    job: int
    attempt: int
    organization: int
    name: str
    created: datetime
    group: str
    impact: int
    timeout_s: int = 0
    idle_timeout_s: int = 0
    env: dict[str, str] = {}
    """Variables for the job's processes, such as proxies."""
    traceparent: str | None = None
    apart: Apart = Apart()
    payload: Payload


Name = Annotated[str, Meta(max_length=512, pattern=r"^[^\x00]*$")]
"""Text of a runner that goes into the log: it must fit every read model."""


class RegisterRunner(Struct, frozen=True, kw_only=True):
    """A runner announces itself: identity, groups, size and the key that secrets are sealed to."""

    runner: Name
    """Its node name, AWX's ``hostname``."""
    groups: tuple[Name, ...]
    node_type: Literal["execution", "control", "hybrid"]
    cpu: Annotated[float, Meta(ge=0, le=100_000)]
    memory: Annotated[int, Meta(ge=0, le=1 << 53)]
    """Bytes."""
    version: Name
    sealing_key: Name
    """X25519 public key, base64."""
    running: tuple[tuple[int, int], ...] = ()
    """(job, attempt) pairs it holds now."""
    isolation: tuple[Name, ...] = ()
    """What works there of ``container``, ``sandbox``, ``limits``."""
    isolation_lacks: tuple[Name, ...] = ()
    """What does not, and why."""


class Registered(Struct, frozen=True, kw_only=True):
    """The control plane's answer.

    The instance's id, capacity and settings, or why it was refused.
    """

    instance: int | None = None
    capacity: int = 0
    enabled: bool = True
    groups: tuple[str, ...] = ()
    refused: str = ""


class Presence(Struct, frozen=True, kw_only=True):
    """A runner's heartbeat value in the presence bucket, gone when it lapses."""

    runner: str
    at: datetime
    sealing_key: str
    running: tuple[tuple[int, int], ...] = ()
    used: int = 0
    """Capacity units in use."""
    journal_bytes: int = 0


class ClaimRequest(Struct, frozen=True, kw_only=True):
    """A runner asks to start one attempt."""

    runner: str
    job: int
    attempt: int
    sealing_key: str


class Grant(Struct, frozen=True, kw_only=True):
    """The answer to a claim: start with these sealed secrets and this NATS user.

    Or drop the order.
    """

    granted: bool
    reason: str = ""
    retry: bool = False
    """True when the control plane could not decide now: ask again, do not drop the order."""
    sealed: str = ""
    """``JobSecrets`` as JSON, sealed to the runner's key (base64)."""
    nats_creds: str = ""
    """Credentials of the attempt's own NATS user, sealed likewise.

    Empty where NATS has no accounts.
    """


class Lookup(Struct, frozen=True, kw_only=True):
    """What an external secret store is asked: its type's namespace, how to log in, what for."""

    store: str
    inputs: dict[str, Any] = {}
    metadata: dict[str, Any] = {}


class FieldLookup(Struct, frozen=True, kw_only=True):
    """A field of a credential that the runner looks up before the attempt starts."""

    field: str
    source: str
    """Name of the external credential, for what is said when it fails."""
    lookup: Lookup


class UsedCredential(Struct, frozen=True, kw_only=True):
    """A credential as one attempt uses it: its values in clear, answers to prompts among them."""

    id: int
    name: str
    namespace: str = ""
    """Of a built-in type; empty for a custom one."""
    type_name: str = ""
    schema: dict[str, Any] = {}
    """The type's ``inputs``: which fields there are, secret and required ones."""
    injectors: dict[str, Any] = {}
    inputs: dict[str, Any] = {}
    lookups: tuple[FieldLookup, ...] = ()


class RegistryLogin(Struct, frozen=True, kw_only=True):
    """Who pulls an execution environment's image."""

    host: str
    username: str = ""
    password: str = ""
    verify_ssl: bool = True


class JobSecrets(Struct, frozen=True, kw_only=True):
    """What one attempt needs in clear.

    Exists only in a sealed answer and in the memory of agent and supervisor.
    """

    credentials: tuple[UsedCredential, ...] = ()
    extra_vars: str = ""
    """JSON object: the secret variables, over ``PlaybookRun.extra_vars``."""


CANCEL_SIGNALLED = b"signalled"
"""A runner's answer to a cancel request: the attempt will end."""
CANCEL_UNKNOWN = b"unknown"
"""The runner does not hold the attempt; it may just be about to, so it is asked again."""


class CancelRequest(Struct, frozen=True, kw_only=True):
    """Delivered on a runner's control subject: end this attempt."""

    job: int
    attempt: int

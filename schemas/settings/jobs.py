"""Settings of jobs: what they may do, for how long, and how much of their output is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from schemas.settings.setting import Setting, declare, flag, mapping, one_of, several, whole, words

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOUNT = "HOST-DIR[:CONTAINER-DIR[:OPTIONS]]"
_MOUNT_PARTS_MAX = 3
_MOUNT_OPTIONS = ("z", "O", "ro", "rw")
_PROXY = {"HTTP_PROXY": "myproxy.local:8080"}
_MODULES = (
    *("command", "shell", "yum", "apt", "apt_key", "apt_repository", "apt_rpm", "service"),
    *("group", "user", "mount", "ping", "selinux", "setup", "win_ping", "win_service"),
    *("win_updates", "win_group", "win_user"),
)


def names_problem(value: Iterable[str]) -> str:
    """Return which names no environment takes."""
    wrong = sorted(name for name in value if not _NAME.fullmatch(name))
    return f"Invalid names of environment variables: {', '.join(wrong)}" if wrong else ""


def paths_problem(value: Iterable[str]) -> str:
    """Return what is wrong with the first directory that cannot be shown to jobs."""
    for each in value:
        source, *rest = each.split(":")
        if len(rest) > _MOUNT_PARTS_MAX - 1:
            return f"Invalid syntax. A string {_MOUNT} is expected but got {each}."
        for path in (source, *rest[:1]):
            if not path.startswith("/"):
                return f"{path} is not a valid path choice. You must provide an absolute path."
        if rest[1:] and rest[1] not in _MOUNT_OPTIONS:
            allowed = ", ".join(_MOUNT_OPTIONS)
            return f"{rest[1]} is not a valid mount option. Allowed types are {allowed}"
    return ""


def _seconds(name: str, label: str, text: str, **more: Any) -> Setting:
    """Return a span of time; 0 is none."""
    return whole(name, label, text, **{"default": 0, "low": 0, "unit": "seconds", **more})


_CONTENT = [
    several(
        "AD_HOC_COMMANDS",
        "Ansible Modules Allowed for Ad Hoc Jobs",
        "Modules that an ad hoc command may run.",
        default=list(_MODULES),
        reader="controlplane.api.ad_hoc_routes",
    ),
    one_of(
        "ALLOW_JINJA_IN_EXTRA_VARS",
        "When can extra variables contain Jinja templates?",
        "Templates in extra variables run code: whoever may give them at launch may run what they"
        " like.",
        (
            ("always", "Always"),
            ("never", "Never"),
            ("template", "Only On Job Template Definitions"),
        ),
        default="template",
        required=True,
        reader="controlplane.processes.work_order",
    ),
    words(
        "AWX_ISOLATION_BASE_PATH",
        "Job execution path",
        "Directory under which each job has one of its own.",
        default="/tmp",  # noqa: S108 - AWX's default, shown and not used
        required=True,
        blank=False,
    ),
    several(
        "AWX_ISOLATION_SHOW_PATHS",
        "Paths to expose to isolated jobs",
        f"Directories that a job sees in its container or sandbox: {_MOUNT}.",
        default=["/etc/pki/ca-trust:/etc/pki/ca-trust:O", "/usr/share/pki:/usr/share/pki:O"],
        check=paths_problem,
        reader="controlplane.processes.work_order",
    ),
    mapping(
        "AWX_TASK_ENV",
        "Extra Environment Variables",
        "Environment variables for playbook runs, inventory and project updates, and the sending of"
        " notifications.",
        placeholder=_PROXY,
        check=names_problem,
        reader="controlplane.processes.work_order",
    ),
    whole(
        "AWX_RUNNER_KEEPALIVE_SECONDS",
        "K8S Ansible Runner Keep-Alive Message Interval",
        "Seconds between messages that keep the connection to a container group open; 0: none.",
        default=0,
        required=True,
        placeholder=240,
    ),
    mapping(
        "GALAXY_TASK_ENV",
        "Environment Variables for Galaxy Commands",
        "Environment variables of ansible-galaxy in project updates.",
        default={
            "ANSIBLE_FORCE_COLOR": "false",
            "GIT_SSH_COMMAND": "ssh -o StrictHostKeyChecking=no",
        },
        required=True,
        placeholder=_PROXY,
        check=names_problem,
        reader="controlplane.processes.work_order",
    ),
    flag(
        "PROJECT_UPDATE_VVV",
        "Run Project Updates With Higher Verbosity",
        "Runs the playbook of a project update with -vvv.",
        required=True,
        reader="controlplane.processes.work_order",
    ),
    flag(
        "AWX_ROLES_ENABLED",
        "Enable Role Download",
        "Whether a project update installs the roles of requirements.yml.",
        default=True,
        reader="controlplane.processes.work_order",
    ),
    flag(
        "AWX_COLLECTIONS_ENABLED",
        "Enable Collection(s) Download",
        "Whether a project update installs the collections of requirements.yml.",
        default=True,
        reader="controlplane.processes.work_order",
    ),
    flag(
        "AWX_SHOW_PLAYBOOK_LINKS",
        "Follow symlinks",
        "Whether playbooks are looked for behind symbolic links.",
        reader="controlplane.processes.work_order",
    ),
    flag(
        "AWX_MOUNT_ISOLATED_PATHS_ON_K8S",
        "Expose host paths for Container Groups",
        "Whether pods of a container group see directories of their node.",
    ),
    flag(
        "GALAXY_IGNORE_CERTS",
        "Ignore Ansible Galaxy SSL Certificate Verification",
        "Whether content is installed from Galaxy servers whose certificate is not valid.",
        reader="controlplane.processes.work_order",
    ),
]
_OUTPUT = [
    whole(
        "STDOUT_MAX_BYTES_DISPLAY",
        "Standard Output Maximum Display Size",
        "Bytes of a job's output above which it can only be downloaded.",
        default=1_048_576,
        required=True,
        low=0,
        reader="controlplane.api.stdout_routes",
    ),
    whole(
        "EVENT_STDOUT_MAX_BYTES_DISPLAY",
        "Job Event Standard Output Maximum Display Size",
        "Bytes of one event's output that lists show; 0 shows all.",
        default=1024,
        required=True,
        low=0,
        reader="controlplane.api.event_routes",
    ),
    whole(
        "MAX_WEBSOCKET_EVENT_RATE",
        "Job Event Maximum Websocket Messages Per Second",
        "Messages a second of a job's live output; 0 sets no limit.",
        default=30,
        low=0,
    ),
]
_BOUNDS = [
    whole(
        "SCHEDULE_MAX_JOBS",
        "Maximum Scheduled Jobs",
        "Jobs of one template that may wait before its schedule starts no more.",
        default=10,
        required=True,
        low=1,
    ),
    several(
        "AWX_ANSIBLE_CALLBACK_PLUGINS",
        "Ansible Callback Plugins",
        "Directories of callback plugins for jobs.",
    ),
    _seconds(
        "DEFAULT_JOB_TIMEOUT",
        "Default Job Timeout",
        "How long a job may run whose template sets no time.",
        reader="controlplane.processes.work_order",
    ),
    _seconds(
        "DEFAULT_JOB_IDLE_TIMEOUT",
        "Default Job Idle Timeout",
        "How long a job may run without output.",
        reader="controlplane.processes.work_order",
    ),
    _seconds(
        "DEFAULT_INVENTORY_UPDATE_TIMEOUT",
        "Default Inventory Update Timeout",
        "How long an inventory update may run whose source sets no time.",
        reader="controlplane.processes.work_order",
    ),
    _seconds(
        "DEFAULT_PROJECT_UPDATE_TIMEOUT",
        "Default Project Update Timeout",
        "How long a project update may run whose project sets no time.",
        reader="controlplane.processes.work_order",
    ),
    _seconds(
        "ANSIBLE_FACT_CACHE_TIMEOUT",
        "Per-Host Ansible Fact Cache Timeout",
        "How old stored facts may be that a job is given; 0 sets no limit.",
        reader="controlplane.shell.known_facts",
    ),
    whole(
        "MAX_FORKS",
        "Maximum number of forks per job",
        "Forks above which a job template is refused; 0 sets no limit.",
        default=200,
        reader="controlplane.domain.checks.job_template",
    ),
    several(
        "DEFAULT_CONTAINER_RUN_OPTIONS",
        "Container Run Options",
        "Options of podman run.",
        default=["--network", "slirp4netns:enable_ipv6=true"],
        reader="controlplane.processes.work_order",
    ),
]

declare("jobs", "Jobs", [*_CONTENT, *_OUTPUT, *_BOUNDS])

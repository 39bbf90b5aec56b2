"""Where an inventory update looks: the file of its plugin, or one within its project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from runners import archives, facts
from runners.preparation import Preparation, Unrunnable
from runners.spec import CONTENT_FILE, GALAXY_FILE, write_private
from runners.steps import project
from runners.steps.inventory import hosts_of
from schemas.yaml_text import UNREADABLE

ENV_KEPT = frozenset({"HOME", "USER", "_", "TERM", "PATH"})
"""Variables that an inventory source cannot set (AWX's INV_ENV_VARIABLE_BLOCKED)."""
INPUT_FILE = "input-%d.json"
_SCRIPT = """#!/bin/sh
exec cat "$(dirname "$0")/%s"
"""


class Plugin(Struct, frozen=True, kw_only=True):
    """An inventory plugin: its full name and the name that its file must have."""

    name: str
    file: str


PLUGINS: Mapping[str, Plugin] = {
    "constructed": Plugin(name="ansible.builtin.constructed", file="constructed.yml"),
    "ec2": Plugin(name="amazon.aws.aws_ec2", file="aws_ec2.yml"),
    "gce": Plugin(name="google.cloud.gcp_compute", file="gcp_compute.yml"),
    "azure_rm": Plugin(name="azure.azcollection.azure_rm", file="azure_rm.yml"),
    "vmware": Plugin(name="community.vmware.vmware_vm_inventory", file="vmware_vm_inventory.yml"),
    "satellite6": Plugin(name="theforeman.foreman.foreman", file="foreman.yml"),
    "openstack": Plugin(name="openstack.cloud.openstack", file="openstack.yml"),
    "rhv": Plugin(name="ovirt.ovirt.ovirt", file="ovirt.yml"),
    "controller": Plugin(name="awx.awx.controller", file="controller.yml"),
    "insights": Plugin(name="redhatinsights.insights.insights", file="insights.yml"),
    "terraform": Plugin(name="cloud.terraform.terraform_state", file="terraform_state.yml"),
    "openshift_virtualization": Plugin(name="kubevirt.core.kubevirt", file="kubevirt.yml"),
}


class Source(Struct, frozen=True, kw_only=True):
    """What ``ansible-inventory`` is to read, from where, with what in its environment."""

    paths: tuple[Path, ...]
    directory: Path
    """Its working directory."""
    env: dict[str, str]


def prepared(job: Preparation) -> Source:
    """Write or unpack what the update reads. Raises Unrunnable."""
    spec = job.spec
    if spec.source == "scm":
        return _within_project(job)
    plugin = PLUGINS.get(spec.source)
    if plugin is None:
        raise Unrunnable(f"Inventory sources of kind {spec.source!r} cannot be updated")
    settings = {**_variables(spec.source_vars), "plugin": plugin.name}
    directory = job.dir / "inventory"
    path = directory / plugin.file
    write_private(path, yaml.safe_dump(settings, sort_keys=False).encode())
    env = {"ANSIBLE_INVENTORY_ENABLED": "auto"}
    inputs: tuple[Path, ...] = ()
    if spec.source == "constructed":
        inputs = tuple(_input(job, directory, index) for index in range(spec.inputs))
        env |= _facts(job, directory)
        env["ANSIBLE_INVENTORY_ENABLED"] += ",script"
        env["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"] = "True"
    return Source(paths=(*inputs, path), directory=directory, env=env)


def _within_project(job: Preparation) -> Source:
    root = job.invocation.project
    archives.unpack(job.dir / CONTENT_FILE, root)
    named = job.spec.source_path
    path = (root / named.lstrip("/")).resolve() if named else root.resolve()
    if not path.is_relative_to(root.resolve()):
        raise Unrunnable(f"Inventory source {named!r} lies outside the project")
    if not path.exists():
        if archives.is_left_out(job.dir / CONTENT_FILE, named.lstrip("/")):
            how = "is, or lies behind, a link that leads out of the project"
            raise Unrunnable(f"Inventory source {named!r} {how}")
        at = job.spec.project_revision
        where = f" at revision {at}" if at else ""
        raise Unrunnable(f"Inventory source {named!r} was not found in the project{where}")
    variables = _variables(job.spec.source_vars)
    env = {str(name): str(each) for name, each in variables.items() if name not in ENV_KEPT}
    if job.spec.galaxy_content:
        archives.unpack(job.dir / GALAXY_FILE, job.dir / project.GALAXY_DIR)
        env |= project.galaxy_paths(job)
    return Source(paths=(path,), directory=root, env=env)


def _input(job: Preparation, directory: Path, index: int) -> Path:
    """Write the script that prints an input inventory, as the jobs on it read it."""
    name = INPUT_FILE % index
    content = job.dir / name
    if not content.exists():
        raise Unrunnable("An input inventory is not on this runner")
    content.rename(directory / name)
    script = directory / f"input-{index:03d}"
    write_private(script, (_SCRIPT % name).encode(), mode=0o700)
    return script


def _facts(job: Preparation, directory: Path) -> dict[str, str]:
    """Give what is known of the inputs' hosts: rules may ask for it as for any variable.

    Of hosts with one name the facts of the last count, as their variables do.
    """
    hosts: dict[str, int] = {}
    for index in range(job.spec.inputs):
        hosts |= hosts_of((directory / (INPUT_FILE % index)).read_bytes()).counted
    facts.give(job, hosts)
    return {
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(job.invocation.fact_cache),
    }


def _variables(text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text) if text.strip() else {}
    except UNREADABLE as error:
        raise Unrunnable(f"source_vars are no YAML: {error}") from error
    if found is not None and not isinstance(found, dict):
        raise Unrunnable("source_vars must be an object")
    return found or {}

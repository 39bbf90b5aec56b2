"""Execution environments in containers: images, logins, limits, and that none is left behind."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runners import process_tree
from runners.isolation import abilities, container, remains
from runners.isolation.plan import Abilities, Engine, Isolation
from runners.journal import read_stats
from runners.process_tree import mark_of, place_of
from runners.spec import FACTS_DIR, FACTS_FILE, FACTS_OUT_FILE, IMPORT_FILE, Secrets
from schemas.work import Limits, RegistryLogin
from tests.registry import Registry
from tests.runners import engine as containers
from tests.runners.rig import Rig, play
from tests.waiting import eventually

pytestmark = [pytest.mark.tier_bwrap, pytest.mark.tier_podman]

OPTIONS = ("--network=host", *containers.BORROWED)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine with the tests' image."""
    return containers.make_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def able(engine: Engine) -> Abilities:
    """What an agent finds out about this machine."""
    return abilities.detect(("container", "sandbox", "limits"), engine.program, engine.env)


def contained(engine: Engine, **changes: Any) -> Isolation:
    """A job's container."""
    fields = {"image": containers.IMAGE, "options": OPTIONS, **changes}
    return Isolation(mode="container", engine=engine, **fields)


def sandboxed(**changes: Any) -> Isolation:
    """A job's sandbox."""
    return Isolation(mode="sandbox", sandbox=shutil.which("bwrap") or "", **changes)


def left(engine: Engine, rig: Rig) -> list[str]:
    """Return the rig's containers, ended ones too."""
    label = f"label={container.LABEL}={place_of(rig.dir)}"
    return containers.podman(engine, "ps", "-a", "-q", "--filter", label).split()


def test_an_agent_finds_out_what_works(engine: Engine, able: Abilities) -> None:
    """Here all of it; and of what does not, why."""
    assert able.names == ("container", "sandbox", "limits")
    assert able.lacking == ()
    assert able.engine == engine
    none = abilities.detect(("container",), "/nowhere/podman", {"PATH": "/nowhere"})
    assert (none.names, none.lacking) == ((), ("container: /nowhere/podman is not installed",))
    broken = abilities.detect(("container", "sandbox"), "false", {"PATH": "/usr/bin"})
    assert broken.names == ("sandbox",)
    assert broken.lacking == ("container: exit status 1",)


def test_a_cancel_leaves_no_container(rig: Rig, engine: Engine) -> None:
    """Ansible ends by the signal, within the grace; its container and processes are gone."""
    rig.write(play("{command: 'sleep 1000', name: long}"), isolation=contained(engine))
    handle = rig.start()
    rig.seen("playbook_on_task_start", "long")
    handle.cancel()
    assert rig.finish().status == "canceled"
    assert rig.processes() == []
    assert left(engine, rig) == []


def test_a_job_outlives_its_supervisor(rig: Rig, engine: Engine) -> None:
    """Killed with -9 in the middle: the play comes to its recap, then its container is gone."""
    marker = rig.dir / "home" / "go"
    wait = f"{{shell: 'until [ -e {marker} ]; do sleep 0.05; done', name: long}}"
    rig.write(play(wait, "{debug: {msg: after}, name: after}"), isolation=contained(engine))
    handle = rig.start()
    rig.seen("playbook_on_task_start", "long")
    handle.kill()
    marker.touch()
    assert rig.seen("playbook_on_stats")
    assert rig.results("runner_on_ok", "after")
    eventually(lambda: not left(engine, rig))
    eventually(lambda: not rig.processes())


def test_a_new_agent_removes_what_is_left(rig: Rig, engine: Engine, able: Abilities) -> None:
    """Containers and control groups of attempts that are no more; not those of others."""
    rig.write(play())
    gone = rig.dir.with_name("1-1")
    label = f"--label={container.LABEL}={place_of(rig.dir)}"
    for directory in (rig.dir, gone):
        name = f"--name={container.name_of(directory)}"
        run = ("run", "--detach", name, label, *OPTIONS, containers.IMAGE, "sleep", "1000")
        containers.podman(engine, *run)
    groups = able.groups
    assert groups is not None
    kept, dropped = (
        Path(groups.parents["pids"], f"playlog-{mark_of(each)}") for each in (rig.dir, gone)
    )
    kept.mkdir()
    dropped.mkdir()
    remains.clear(able, rig.dir.parent)
    assert len(left(engine, rig)) == 1
    assert (kept.exists(), dropped.exists()) == (True, False)
    shutil.rmtree(rig.dir)
    remains.clear(able, rig.dir.parent)
    assert left(engine, rig) == []
    assert not kept.exists()


@pytest.fixture(scope="module")
def registry(engine: Engine) -> Iterator[Registry]:
    """A registry that wants a password."""
    path = f"{sys.prefix}/bin:/usr/bin:/bin"
    with Registry(containers.root_tar(), path, ("puller", "right-password")) as serving:
        yield serving
        containers.podman(engine, "rmi", serving.image)


def test_pull_policies_and_logins(
    new_rig: Callable[[], Rig], engine: Engine, registry: Registry
) -> None:
    """A wrong password is a clear end; ``missing`` pulls once, ``always`` again, ``never`` not."""
    login = RegistryLogin(
        host=registry.host, username="puller", password="right-password", verify_ssl=False
    )
    wrong = msgspec.structs.replace(login, password="wrong-password")

    def run(pull: str, told: RegistryLogin, image: str = registry.image) -> Any:
        rig = new_rig()
        isolation = contained(engine, image=image, pull=pull)
        rig.write(play("{command: find /dev/shm -type f, name: look}"), isolation=isolation)
        final = rig.run(Secrets(registry=told, mask=(told.password,)))
        for found in rig.results("runner_on_ok", "look"):
            assert "registry" not in found["stdout"]
        for secret in ("right-password", "wrong-password"):
            assert secret.encode() not in rig.raw()
        return final

    refused = run("", wrong)
    assert refused.status == "error"
    assert refused.explanation.startswith(
        f"Execution environment image {registry.image} cannot be pulled: "
    )
    assert "unauthorized" in refused.explanation
    absent = run("never", login)
    assert absent.explanation.endswith("is not on this runner, and its pull policy is never")
    assert registry.pulls == 0
    assert run("missing", login).status == "successful"
    pulled = registry.pulls
    assert run("missing", wrong).status == "successful"
    assert registry.pulls == pulled > 0
    assert run("always", login).status == "successful"
    assert registry.pulls > pulled


def test_a_killed_supervisor_leaves_no_pull(rig: Rig, engine: Engine) -> None:
    """A registry that never answers: what pulls carries the job's mark, so it is found and ends."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        image = f"127.0.0.1:{deaf.getsockname()[1]}/tests/ee:1"
        rig.write(play(), isolation=contained(engine, image=image))
        handle = rig.start()
        eventually(rig.processes)
        handle.kill()
        assert process_tree.sweep_marked(rig.dir)
        assert rig.processes() == []


def test_an_image_without_ansible_says_so(new_rig: Callable[[], Rig], engine: Engine) -> None:
    """What the engine cannot start, or the image lacks, stands in the job's explanation."""
    wrong, rig = new_rig(), new_rig()
    wrong.write(play(), isolation=contained(engine, options=("--no-such-option",)))
    assert wrong.run().explanation.endswith(
        "cannot be started: Error: unknown flag: --no-such-option"
    )
    bare = contained(engine, options=("--network=host", "--volume=/usr:/usr:ro"))
    rig.write(play("{debug: {msg: ran}, name: say}"), isolation=bare)
    final = rig.run()
    assert (final.status, final.rc) == ("error", container.NOT_FOUND)
    assert "lacks a program" in final.explanation
    assert "ansible-playbook" in final.explanation


def give_facts(rig: Rig, facts: dict[str, str]) -> None:
    """Put what is known of the first host where the agent does."""
    digest = "0" * 64
    (rig.dir / FACTS_FILE).write_text(json.dumps({digest: [1]}))
    kept = rig.dir / FACTS_DIR / digest
    kept.parent.mkdir()
    kept.write_text(json.dumps({"1": {"name": "localhost", "facts": facts}}))


@pytest.mark.parametrize("mode", ["sandbox", "container"])
def test_a_job_has_all_it_needs(rig: Rig, engine: Engine, tmp_path: Path, mode: str) -> None:
    """Its key in ssh-agent, its vault, files and variables of credentials, and the paths shown.

    The facts that are known of its host are there; those it keeps come out, and its artifacts.
    """
    key, shown = tmp_path / "key", tmp_path / "shown"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "the-key", "-f", str(key)], check=True
    )
    shown.mkdir()
    (shown / "text").write_text("shown-text")
    mounts = (f"{shown}:/srv/shown:ro", "/nowhere/at/all:/srv/none:O")
    options = {"mounts": mounts}
    isolation = contained(engine, **options) if mode == "container" else sandboxed(**options)
    script = (
        "ssh-add -l; cat /srv/shown/text $CREDENTIAL_FILE; touch /srv/shown/new || echo read-only;"
        " touch $HOME/mine && printenv SAID LINES_OF"
        "; echo $BASH_ENV $PLAYLOG_JOB_ISOLATION"
    )
    keeps = "{set_fact: {after: '{{ ansible_facts.before }} and after', cacheable: true}}"
    tasks = (
        f"{{shell: '{script}', name: look}}",
        keeps,
        "{set_stats: {data: {told: '{{ after }}'}}}",
    )
    rig.write(play(*tasks), isolation=isolation, use_fact_cache=True)
    give_facts(rig, {"before": "known before"})
    secrets = Secrets(
        ssh_key=key.read_text(),
        vaults={"": "vault-password"},
        env={
            "SAID": "said-text",
            "CREDENTIAL_FILE": "{{playlog.file.one}}",
            "IFS": "0123456789",
            "LINES_OF": 'it\'s\n"two" lines',
            "BASH_ENV": "/planted",
        },
        files={"one": "file-text"},
    )
    final = rig.run(secrets)
    assert final.status == "successful", rig.stdout()
    (result,) = rig.results("runner_on_ok", "look")
    for text in ("the-key", "shown-text", "file-text", "read-only", f"/planted {mode}"):
        assert text in result["stdout"], text
    assert 'said-text\nit\'s\n"two" lines' in result["stdout"]
    told = json.loads((rig.dir / FACTS_OUT_FILE).read_text())["1"]["facts"]
    assert told == {"before": "known before", "after": "known before and after"}
    stats = read_stats(rig.events("playbook_on_stats")[0])
    assert json.loads(bytes(stats.artifact_data)) == {"told": told["after"]}
    assert rig.processes() == []


@pytest.mark.parametrize("mode", ["sandbox", "container"])
def test_commands_and_updates_are_kept_apart_too(
    new_rig: Callable[[], Rig], engine: Engine, mode: str
) -> None:
    """An ad hoc command's module and an inventory's script run where a playbook would."""
    isolation = contained(engine) if mode == "container" else sandboxed()
    command = new_rig()
    command.write(
        kind="ad_hoc_command",
        module_name="command",
        module_args="printenv PLAYLOG_JOB_ISOLATION",
        isolation=isolation,
    )
    assert command.run().status == "successful", command.stdout()
    assert mode in command.stdout()
    script = """#!/bin/sh
echo '{"a": {"hosts": ["h1"], "vars": {"mode": "'$PLAYLOG_JOB_ISOLATION'"}},'
echo ' "_meta": {"hostvars": {}}}'
"""
    update = new_rig()
    update.write(
        {"hosts.sh": script},
        kind="inventory_update",
        source="scm",
        source_path="hosts.sh",
        isolation=isolation,
    )
    assert update.run().status == "successful", update.stdout()
    assert f'"mode": "{mode}"' in (update.dir / IMPORT_FILE).read_text()


@pytest.mark.parametrize("mode", ["sandbox", "container"])
def test_a_job_is_limited(rig: Rig, engine: Engine, able: Abilities, mode: str) -> None:
    """More memory or processes than its limits it does not get; its control groups go with it."""
    limits = Limits(memory_bytes=256 * 1024 * 1024, processes=60, cpu_percent=200)
    options = {"limits": limits, "groups": able.groups}
    isolation = contained(engine, **options) if mode == "container" else sandboxed(**options)
    hungry = 'python3 -c "len(bytearray(400 * 1024 * 1024))"'
    many = "for i in $(seq 100); do sleep 60 & done; exit 7"
    rig.write(
        play(
            f"{{shell: '{hungry}', name: hungry, ignore_errors: true}}",
            f"{{shell: '{many}', name: many, ignore_errors: true}}",
            "{debug: {msg: after}, name: after}",
            "{fail: {msg: end}, name: end}",
        ),
        isolation=isolation,
    )
    final = rig.run()
    assert final.status == "failed", rig.stdout()
    assert final.explanation.endswith("together they may use 256 MB of memory")
    (ate,) = rig.results("runner_on_failed", "hungry")
    assert ate["rc"] in {-9, 137}
    (forked,) = rig.results("runner_on_failed", "many")
    assert forked["rc"] != 7
    assert rig.results("runner_on_ok", "after")
    groups = able.groups
    assert groups is not None
    for parent in groups.parents.values():
        assert not Path(parent, f"playlog-{mark_of(rig.dir)}").exists()

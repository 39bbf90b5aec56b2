"""What a job gets, and what it cannot get out of its directory."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runners import archives, redact, report, slicing
from runners.environment import HIDDEN, shown
from runners.journal import PlaybookStats
from runners.preparation import Preparation, Unrunnable
from runners.spec import JobSpec, Secrets, read_spec, write_spec
from runners.steps import STEPS, cleanup, credentials, inventory, playbook, project, workspace
from schemas.work import RegistryLogin
from tests.runners.rig import Rig, play, tar_of


def spec(**fields: object) -> JobSpec:
    """Return a specification."""
    given = {"kind": "job", "job": 990_001, "attempt": 2, "org": 1, "playbook": "site.yml"} | fields
    return JobSpec(**given)  # type: ignore[arg-type]  # fields by name


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Preparation]:
    """A preparation in a new directory."""
    job_dir = tmp_path / "990001-2"
    write_spec(job_dir, spec())
    secrets = Secrets()
    mask = redact.mask_of(secrets.known())
    yield Preparation(spec=spec(), secrets=secrets, dir=job_dir, mask=mask)
    workspace.remove(job_dir)


def test_a_specification_is_read_back(tmp_path: Path) -> None:
    """What the agent writes is what the supervisor reads; only its owner can."""
    written = spec(extra_vars={"a": [1, None]}, limit="x", forks=3)
    write_spec(tmp_path / "1-1", written)
    assert read_spec(tmp_path / "1-1") == written
    assert (tmp_path / "1-1" / "spec.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "1-1").stat().st_mode & 0o777 == 0o700


def test_cleanup_is_safe_without_prepare(job: Preparation) -> None:
    """Every step can undo itself without having been taken, and twice."""
    cleanup(job)
    cleanup(job)
    assert len(STEPS) == 6


def test_room_is_made_where_there_is_none(
    job: Preparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a job put there goes, its journal and specification stay; it may have removed all."""
    workspace.prepare(job)
    workspace.make_room(job)
    assert (job.dir / "tmp").is_dir()
    monkeypatch.setattr(workspace, "ROOM_BYTES_MIN", 1 << 62)
    workspace.make_room(job)
    assert [each.name for each in job.dir.iterdir()] == ["spec.json"]
    workspace.remove(job.dir)
    workspace.make_room(job)


def test_one_step_that_fails_keeps_no_other_from_being_undone(
    job: Preparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk while facts are kept leaves no secret behind; the error is told afterwards."""
    undone: list[str] = []

    def full(_job: Preparation) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(inventory, "cleanup", full)
    for step in (credentials, workspace):
        monkeypatch.setattr(step, "cleanup", lambda _job, step=step: undone.append(step.__name__))
    with pytest.raises(OSError, match="No space left"):
        cleanup(job)
    assert undone == [credentials.__name__, workspace.__name__]


@pytest.mark.parametrize(
    "limit",
    [
        "@/etc/passwd",
        "all:@/etc/passwd",
        "a, @ /etc/passwd",
        "@../1-1/x",
        "@a b/../../x,c",
        "x @/y",
    ],
)
def test_a_limit_names_no_file_outside_the_project(limit: str) -> None:
    """Ansible would print it to whoever may launch the job."""
    with pytest.raises(Unrunnable, match="The limit names a file outside the project: "):
        playbook.options(spec(limit=limit))


@pytest.mark.parametrize("limit", ["@retry.txt", "a:@failed/hosts", "user@/x", "web[0:1],..", "~a"])
def test_a_limit_may_name_files_of_the_project(limit: str) -> None:
    """As AWX's relaunches do by hand; other patterns are Ansible's own matter."""
    assert playbook.options(spec(limit=limit)) == [f"--limit={limit}"]


def test_options_of_a_launch() -> None:
    """Each prompt of a launch becomes its option, joined so that no value is read as another."""
    given = spec(
        job_type="check",
        diff_mode=True,
        force_handlers=True,
        forks=7,
        limit="--become",
        job_tags="a,b",
        skip_tags="c",
        start_at_task="x y",
        verbosity=9,
    )
    assert playbook.options(given) == [
        "--check",
        "--diff",
        "--force-handlers",
        "--forks=7",
        "--limit=--become",
        "--tags=a,b",
        "--skip-tags=c",
        "--start-at-task=x y",
        "-vvvvv",
    ]
    assert playbook.options(spec()) == []


def test_credentials_become_options_and_answers() -> None:
    """Passwords are asked for, never given; every question has its answer."""
    secrets = Secrets(
        username="deploy",
        password="p1",
        become_method="su",
        become_username="app",
        become_password="p2",
        vaults={"": "v0", "prod": "v1"},
    )
    args = credentials.arguments(secrets, become=True)
    assert args == [
        "--user=deploy",
        "--ask-pass",
        "--become",
        "--become-method=su",
        "--become-user=app",
        "--ask-become-pass",
        "--ask-vault-pass",
        "--vault-id",
        "prod@prompt",
    ]
    answers = credentials.prompts(secrets)
    assert answers[r"SSH password:\s*?$"] == "p1"
    assert answers[r"BECOME password.*:\s*?$"] == "p2"
    assert answers[r"Vault password:\s*?$"] == "v0"
    assert answers[r"Vault password \(prod\):\s*?$"] == "v1"
    assert credentials.arguments(Secrets(), become=False) == ["--user=root"]


@pytest.mark.parametrize(
    "name", ["../up.yml", "/etc/passwd", "-e@x", "link/x.yml", "sub/../../up.yml"]
)
def test_playbooks_outside_the_project_are_refused(tmp_path: Path, name: str) -> None:
    """Neither a path nor a link leads out of the project."""
    (tmp_path / "up.yml").write_text("")
    (tmp_path / "x.yml").write_text("")
    root = tmp_path / "project"
    (root / "sub").mkdir(parents=True)
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(Unrunnable, match="outside"):
        project.check_playbook(root, name, "")


def test_unpacking_stays_inside(tmp_path: Path) -> None:
    """Links that lead outside are left out; members that do are refused."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, target in (("out", "../../x"), ("abs", "/etc"), ("in", "site.yml")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
        member = tarfile.TarInfo("site.yml")
        archive.addfile(member, io.BytesIO())
    (tmp_path / "links.tar").write_bytes(buffer.getvalue())
    archives.unpack(tmp_path / "links.tar", tmp_path / "a")
    assert sorted(each.name for each in (tmp_path / "a").iterdir()) == ["in", "site.yml"]
    names = ("out", "abs/passwd", "in", "absent")
    told = [archives.is_left_out(tmp_path / "links.tar", each) for each in names]
    assert told == [True, True, False, False]
    (tmp_path / "up.tar").write_bytes(tar_of({"../up": "x"}))
    with pytest.raises(Unrunnable, match="cannot be unpacked"):
        archives.unpack(tmp_path / "up.tar", tmp_path / "b")
    with pytest.raises(Unrunnable, match="not on this runner"):
        archives.unpack(tmp_path / "none.tar", tmp_path / "c")


def test_inventory_is_a_script(job: Preparation) -> None:
    """The inventory's JSON is printed by an executable; a missing one is told."""
    workspace.prepare(job)
    with pytest.raises(Unrunnable, match="inventory"):
        inventory.prepare(job)
    (job.dir / "inventory.json").write_text("{}")
    inventory.prepare(job)
    assert job.invocation.inventory == job.dir / "inventory" / "hosts"
    assert job.invocation.inventory.stat().st_mode & 0o777 == 0o700


def test_host_ids_of_an_inventory() -> None:
    """Hosts are known by the ids in their variables."""
    text = {"_meta": {"hostvars": {"a": {"remote_tower_id": 4, "x": [1]}, "b": {}}}}
    assert inventory.hosts_of(json.dumps(text).encode()).ids == {"a": 4}
    assert inventory.hosts_of(b"{}") == inventory.hosts_of(b"broken") == inventory.Hosts()


def test_hosts_of_a_constructed_inventory_count_on_their_originals() -> None:
    """What has no original counts on nobody; a slice knows the originals of its own hosts."""
    hostvars = {name: {"remote_tower_id": n} for n, name in enumerate("abc", 11)}
    whole = {
        "all": {"hosts": ["a", "b", "c"]},
        "_meta": {"hostvars": hostvars, "originals": {"a": 1, "b": 2}},
    }
    hosts = inventory.hosts_of(json.dumps(whole).encode())
    assert (hosts.ids, hosts.counted) == ({"a": 11, "b": 12, "c": 13}, {"a": 1, "b": 2})
    told = report.stats_of(PlaybookStats(ok={"a": 1, "c": 1}), hosts)
    assert {name: (each.host, each.constructed_host) for name, each in told.items()} == {
        "a": (1, 11),
        "c": (None, 13),
    }
    one = inventory.hosts_of(slicing.one_of(json.dumps(whole).encode(), 1, 2))
    assert (one.ids, one.originals) == ({"a": 11, "c": 13}, {"a": 1})


def test_a_job_is_not_told_the_login_of_its_image(job: Preparation) -> None:
    """What it masks it could read: of the registry's password it knows nothing."""
    login = RegistryLogin(host="h", username="u", password="of-the-registry", verify_ssl=True)
    job.secrets = Secrets(registry=login, password="of-the-job", mask=("of-the-registry", "more"))
    job.mask = redact.mask_of(job.secrets.known())
    workspace.prepare(job)
    credentials.prepare(job)
    told = json.loads((job.memory / "mask.json").read_text())
    assert {"of-the-job", "more"} <= set(told)
    assert "of-the-registry" not in told


def test_facts_travel_in_and_out(rig: Rig) -> None:
    """Facts of earlier jobs are known, those gathered come back without a host's environment.

    A number that JSON cannot hold is missing alone.
    """
    rig.write(
        play(
            "{name: known, debug: {msg: '{{ ansible_facts.from_before }}'}}",
            "{set_fact: {fresh: new, endless: '{{ [1, (\"inf\" | float)] }}', cacheable: true}}",
        ),
        use_fact_cache=True,
    )
    facts = {
        "1": {"name": "localhost", "facts": {"from_before": "yes", "ansible_env": {"A": "b"}}},
        "9": {"name": "elsewhere", "facts": {"a": 1}},
    }
    (rig.dir / "facts").mkdir()
    (rig.dir / "facts" / "content").write_text(json.dumps(facts))
    (rig.dir / "facts.json").write_text(json.dumps({"content": [1, 9], "gone": [1]}))
    assert rig.run().status == "successful"
    assert rig.results("runner_on_ok", "known")[0]["msg"] == "yes"
    out = json.loads((rig.dir / "facts-out.json").read_text())
    known = {"from_before": "yes", "fresh": "new", "endless": [1, None]}
    assert out == {"1": {"name": "localhost", "facts": known}}


def test_a_job_cannot_say_whose_facts_it_gathered(rig: Rig, tmp_path: Path) -> None:
    """It may write the inventory and the cache: neither other hosts nor other files come of it."""
    (tmp_path / "theirs.json").write_text('{"planted": "secret"}')
    other = '{"_meta": {"hostvars": {"localhost": {"remote_tower_id": 77}}}}'
    rig.write(
        play(
            f"{{copy: {{content: '{other}', dest: '{rig.dir}/inventory/hosts.json'}}}}",
            f"{{file: {{src: '{tmp_path}/theirs.json', dest: '{rig.dir}/fact_cache/two',"
            " state: link}}",
            "{command: 'mkfifo {{ playbook_dir }}/../fact_cache/three'}",
            "{set_fact: {fresh: new, cacheable: true}, when: inventory_hostname == 'localhost'}",
        ),
        hosts=("localhost", "two", "three"),
        forks=1,
        use_fact_cache=True,
    )
    assert rig.run().status in ("successful", "failed")
    out = json.loads((rig.dir / "facts-out.json").read_text())
    assert out == {"1": {"name": "localhost", "facts": {"fresh": "new"}}}


def test_a_shown_environment_hides_secrets() -> None:
    """Names that sound secret and passwords in URLs are hidden, Ansible's own settings are not."""
    env = {
        "API_TOKEN": "x",
        "DB_PASSWORD": "x",
        "ANSIBLE_HOST_KEY_CHECKING": "False",
        "ANSIBLE_NET_PASSWORD": "x",
        "PROXY": "http://u:pw@h:1/",
        "HOME": "/h",
    }
    assert shown(env) == {
        "API_TOKEN": HIDDEN,
        "DB_PASSWORD": HIDDEN,
        "ANSIBLE_HOST_KEY_CHECKING": "False",
        "ANSIBLE_NET_PASSWORD": HIDDEN,
        "PROXY": f"http://u:{HIDDEN}@h:1/",
        "HOME": "/h",
    }


def test_a_workspace_is_removed_whatever_its_permissions(job: Preparation) -> None:
    """A job cannot keep its directory by taking permissions away."""
    workspace.prepare(job)
    locked = job.dir / "project" / "locked"
    locked.mkdir()
    (locked / "file").touch()
    locked.chmod(0)
    workspace.remove(job.dir)
    assert not job.dir.exists()
    assert not job.memory.exists()


def test_sockets_get_a_short_directory(job: Preparation) -> None:
    """A deep data directory does not break ssh: its sockets move to the memory directory."""
    deep = Preparation(spec=job.spec, secrets=job.secrets, dir=Path("/" + "x" * 80), mask=job.mask)
    short = Preparation(spec=job.spec, secrets=job.secrets, dir=Path("/x"), mask=job.mask)
    assert deep.socket_dir("cp") == deep.memory / "cp"
    assert short.socket_dir("cp") == Path("/x/cp")

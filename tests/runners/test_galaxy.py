"""What a project requires is installed once, from servers that its organization names."""

from __future__ import annotations

import shutil
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runners.galaxy import CACHE_DIR, complaint
from runners.galaxy_names import included, is_in_reach, stays_below
from runners.isolation import sight
from runners.isolation.plan import Isolation
from runners.spec import GALAXY_FILE, GalaxyServer, Secrets
from tests.runners.rig import Rig
from tests.runners.serving import Web, galaxy_api, serving, tar_gz
from tests.runners.test_project_sync import Repository, failed, update
from tests.waiting import eventually

META = "galaxy_info: {author: a, description: d, license: MIT, min_ansible_version: '2.9'}\n"
BUG = "Unexpected Exception, this is probably a bug: "
TOKEN, WRONG = "galaxy-token-1", "wrong-token-1"
COLLECTION_TASK = "Fetch galaxy collections from collections/requirements.(yml/yaml)"
BOTH: dict[str, Any] = {"roles_enabled": True, "collections_enabled": True}


def servers(web: Web, token: str = TOKEN) -> Secrets:
    """Return what names a Galaxy server."""
    return Secrets(galaxy=(GalaxyServer(url=f"{web.url}/api/", token=token),))


def installed(rig: Rig) -> list[str]:
    """Return what an update leaves of roles and collections."""
    with tarfile.open(rig.dir / GALAXY_FILE) as archive:
        return [each for each in archive.getnames() if each.endswith("main.yml")]


def command_lines(rig: Rig) -> list[Path]:
    """Return the command lines of a rig's processes."""
    return [Path(f"/proc/{pid}/cmdline") for pid in rig.processes()]


def test_requirements_are_installed_once(new_rig: Callable[[], Rig], tmp_path: Path) -> None:
    """A collection of a server that wants a token, roles of git and of an archive; told by task.

    A second project with the same requirements asks nobody; one with a wrong token does not get
    what the right one has fetched. No token is to be read anywhere.
    """
    role = Repository(tmp_path / "role")
    role.commit(tasks__main_yml="- debug: {msg: git role}\n", meta__main_yml=META)
    with serving(Web(login=f"Token {TOKEN}")) as web, serving(Web()) as plain:
        galaxy_api(web, "acme", "tools")
        packed = {"packed/tasks/main.yml": b"[]\n", "packed/meta/main.yml": META.encode()}
        plain.files["/packed.tar.gz"] = tar_gz(packed)
        wanted = {
            "site_yml": "- hosts: all\n",
            "collections__requirements_yml": "collections:\n  - name: acme.tools\n",
            "roles__requirements_yml": (
                f"- src: git+{role.path.as_uri()}\n  name: fromgit\n"
                f"- src: {plain.url}/packed.tar.gz\n  name: packed\n"
            ),
        }
        origin, other = Repository(tmp_path / "origin"), Repository(tmp_path / "other")
        origin.commit(**wanted)
        other.commit(**wanted, more_yml="- hosts: all\n")
        first = new_rig()
        final = update(first, origin.path.as_uri(), servers(web), **BOTH)
        assert final.status == "successful", final.explanation
        assert set(installed(first)) >= {
            "requirements_collections/ansible_collections/acme/tools/roles/greet/tasks/main.yml",
            "requirements_roles/fromgit/tasks/main.yml",
            "requirements_roles/packed/tasks/main.yml",
        }
        assert first.results("runner_on_ok", COLLECTION_TASK)[0]["changed"] is True
        asked = len(web.asked)
        second = new_rig()
        again = update(second, other.path.as_uri(), servers(web), **BOTH)
        assert (again.status, again.galaxy_sha256) == ("successful", final.galaxy_sha256)
        assert second.results("runner_on_ok", COLLECTION_TASK)[0]["changed"] is False
        assert len(web.asked) == asked
        refused = new_rig()
        web.answers = threading.Event()
        refused.write(kind="project_update", scm_url=other.path.as_uri(), **BOTH)
        refused.start(servers(web, WRONG))
        eventually(lambda: len(web.asked) > asked)
        on_command_lines = [each.read_bytes() for each in command_lines(refused)]
        web.answers.set()
        assert any(b"galaxy" in each for each in on_command_lines)
        told = failed(refused, refused.finish())
        assert "collections/requirements.yml asks for cannot be installed" in told
        assert "Unauthorized" in told
        assert f"Token {WRONG}" in web.seen
    files = [each for each in refused.dir.rglob("*") if each.is_file()]
    written = [each.read_bytes() for each in files]
    for secret in (TOKEN.encode(), WRONG.encode()):
        assert not any(secret in each for each in (first.raw(), second.raw(), *written))
        assert not any(secret in each for each in on_command_lines)


def test_a_collection_that_does_not_exist_is_named(rig: Rig, tmp_path: Path) -> None:
    """The update fails with its name, and leaves nothing that would count as installed."""
    origin = Repository(tmp_path / "origin")
    origin.commit(site_yml="- hosts: all\n", requirements_yml="collections:\n  - nobody.nothing\n")
    with serving(Web()) as web:
        web.files["/api/"] = b'{"available_versions": {"v3": "v3/"}}'
        final = update(rig, origin.path.as_uri(), servers(web), **BOTH)
    told = failed(rig, final)
    assert "What requirements.yml asks for cannot be installed" in told
    assert "nobody.nothing" in told
    assert list((tmp_path / CACHE_DIR).glob("*.tar")) == []


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("[ERROR]: Role x was not found", "Role x was not found"),
        ("ERROR! Role x was not found", "Role x was not found"),
        (f"raise URLError(err) AnsibleError: {BUG}<urlopen error x>", "<urlopen error x>"),
    ],
)
def test_a_complaint_is_told_without_its_traceback(told: str, why: str) -> None:
    """As when the server that gives tokens cannot be reached."""
    assert complaint(told) == why


@pytest.mark.parametrize("change", [{}, {"collections_enabled": True}])
def test_nothing_is_installed_that_is_switched_off(
    rig: Rig, tmp_path: Path, change: dict[str, Any]
) -> None:
    """Without servers, or with the settings off, an update warns as AWX does."""
    origin = Repository(tmp_path / "origin")
    origin.commit(
        site_yml="- hosts: all\n", collections__requirements_yml="collections: [acme.tools]\n"
    )
    final = update(rig, origin.path.as_uri(), **change)
    assert (final.status, final.galaxy_sha256) == ("successful", "")
    (told,) = rig.results("runner_on_ok", "Warn about disabled content sync")
    assert told["msg"].startswith("Collection and role syncing disabled.")


def test_a_name_leads_nowhere_else(new_rig: Callable[[], Rig], tmp_path: Path) -> None:
    """A role and a collection are installed below their directories, whatever they call themselves.

    Nothing is written or removed where their names lead to.
    """
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("mine")
    with serving(Web()) as web:
        web.files["/role.tar.gz"] = tar_gz({"role/meta/main.yml": META.encode()})
        names = {
            "roles__requirements_yml": (
                f"- src: {web.url}/role.tar.gz\n  name: ../../../../../escaped/.ssh\n"
            ),
            "collections__requirements_yml": (
                f"collections:\n  - name: .{kept}\n    source: ./tools\n    type: dir\n"
            ),
            "tools__galaxy_yml": (
                "namespace: acme\nname: tools\nversion: 1.0.0\nauthors: [a]\nreadme: galaxy.yml\n"
            ),
        }
        for each, words in (("roles", "of a role"), ("collections", "of a collection")):
            origin = Repository(tmp_path / each)
            origin.commit(**{**names, "site_yml": "- hosts: all\n"})
            rig = new_rig()
            final = update(rig, origin.path.as_uri(), servers(web), **{f"{each}_enabled": True})
            assert f"is not a usable name {words}" in failed(rig, final)
    assert list(tmp_path.rglob(".ssh")) == []
    assert (kept / "file").read_text() == "mine"
    assert not stays_below("")
    assert not stays_below("/etc/x")
    assert stays_below("acme.role")


@pytest.mark.parametrize(
    ("source", "reachable"),
    [
        ("acme.tools", True),
        ("./tools", True),
        ("git@host:a/b.git", True),
        ("https://host/a.tar.gz", True),
        ("git+ssh://git@host/a", True),
        ("/etc/ssl", False),
        ("~/x", False),
        ("../../x", False),
        ("file:///etc/passwd", False),
        ("git+file:///etc", False),
        (" FILE:/etc/passwd", False),
        ("<URL:file:///etc/passwd>", False),
        ("fi%6ce:/etc/passwd", False),
    ],
)
def test_requirements_reach_the_network_and_the_project(
    tmp_path: Path, source: str, *, reachable: bool
) -> None:
    """Whatever leads to a file elsewhere on the runner is refused."""
    assert is_in_reach(source, tmp_path) is reachable


def test_a_network_project_requires_no_file_of_the_runner(
    new_rig: Callable[[], Rig], tmp_path: Path
) -> None:
    """A role, a collection and an included file of the machine, named by a project of a server."""
    secret = tmp_path / "runner.key"
    secret.write_text("planted-secret: [\n")
    role = tar_gz({"role/meta/main.yml": META.encode()})
    (tmp_path / "role.tar.gz").write_bytes(role)
    assert included({"roles": [{"include": "x"}, "y"]}) == ["x"]
    wanted = (
        f"roles:\n  - src: {tmp_path}/role.tar.gz\n    name: role\n",
        f"roles:\n  - include: {secret}\n",
        f"collections:\n  - name: {secret.as_uri()}\n    type: url\n",
    )
    with serving(Web()) as web:
        for each in wanted:
            web.files["/project.tar.gz"] = tar_gz({"p/requirements.yml": each.encode()})
            rig = new_rig()
            url = f"{web.url}/project.tar.gz"
            told = failed(rig, update(rig, url, servers(web), scm_type="archive", **BOTH))
            assert "names a file outside of the project" in told
            assert b"planted-secret" not in rig.raw()


@pytest.mark.tier_bwrap
def test_an_update_sees_nothing_else_of_the_runner(rig: Rig, tmp_path: Path) -> None:
    """In a sandbox not even a project of this machine, which may name files, finds the others."""
    secret = tmp_path / "runner.key"
    secret.write_text("planted-secret: [\n")
    origin = Repository(tmp_path / "all" / "served" / "origin")
    origin.commit(requirements_yml=f"roles:\n  - include: {secret}\n")
    assert sight.around(origin.path) == [tmp_path / "all", tmp_path / "all" / "served"]
    assert sight.around(Path("/srv/git/origin")) == [Path("/srv/git")]
    isolation = Isolation(mode="sandbox", sandbox=shutil.which("bwrap") or "")
    with serving(Web()) as web:
        url = origin.path.as_uri()
        final = update(rig, url, servers(web), isolation=isolation, **BOTH)
    assert "Failed to find include requirements file" in failed(rig, final)

"""Jobs share an unpacked project and cannot change what the next one sees."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runners import mounts, trees
from runners.content import ContentCache
from runners.isolation.plan import Isolation
from runners.preparation import Unrunnable
from runners.spec import CONTENT_FILE
from runners.trees import TREES_DIR, Trees
from tests.runners.rig import Rig, play, tar_of
from tests.runners.test_isolation import apart

__all__ = ["apart"]


def kept(data: Path, files: dict[str, str]) -> str:
    """Keep a tree below a data directory; returns its digest."""
    archive = data / "a.tar"
    archive.write_bytes(tar_of(files))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    Trees(data, 1 << 30).unpack(digest, archive)
    return digest


def test_a_job_changes_its_own_sight_of_a_project(
    new_rig: Callable[[], Rig], tmp_path: Path
) -> None:
    """Written beside the playbook, overwritten, removed: the next job finds it as it was.

    What the agent keeps for all jobs is out of the job's sight.
    """
    assert mounts.possible(tmp_path)
    tasks = (
        '{copy: {content: "spoilt", dest: "{{ playbook_dir }}/data.txt"}}',
        '{copy: {content: "new", dest: "{{ playbook_dir }}/beside.txt"}}',
        '{file: {path: "{{ playbook_dir }}/roles", state: absent}}',
        f'{{command: "ls -A {tmp_path / TREES_DIR}", register: seen}}',
        "{debug: {msg: \"sees [{{ seen.stdout }}] {{ lookup('file', 'data.txt') }}\"}}",
    )
    files = play(*tasks) | {"data.txt": "fresh", "roles/r/tasks/main.yml": "[]\n"}
    digest = kept(tmp_path, files)
    for _ in "12":
        rig = new_rig()
        rig.write(project_content=digest)
        (rig.dir / CONTENT_FILE).unlink()
        assert rig.run().status == "successful", rig.stdout()
        assert "sees [] spoilt" in rig.stdout()
        assert [each["changed"] for each in rig.results("runner_on_ok", "copy")] == [True, True]
        assert list((rig.dir / "project").iterdir()) == []
    tree = trees.place_of(tmp_path, digest)
    assert (tree / "data.txt").read_text() == "fresh"
    assert (tree / "roles" / "r").is_dir()
    assert not (tree / "beside.txt").exists()
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


@pytest.mark.tier_bwrap
@pytest.mark.tier_podman
@pytest.mark.parametrize("mode", ["sandbox", "container"])
def test_jobs_kept_apart_see_their_project(
    rig: Rig, tmp_path: Path, apart: dict[str, Isolation], mode: str
) -> None:
    """The overlay is handed into sandbox and container, and written there as outside."""
    task = "{copy: {content: \"{{ lookup('file', 'data.txt') }}!\", dest: data.txt}}"
    digest = kept(tmp_path, play(task) | {"data.txt": "fresh"})
    rig.write(project_content=digest, isolation=apart[mode])
    (rig.dir / CONTENT_FILE).unlink()
    assert rig.run().status == "successful", rig.stdout()
    assert (rig.dir / "overlay" / "project" / "upper" / "data.txt").read_text() == "fresh!"
    assert (trees.place_of(tmp_path, digest) / "data.txt").read_text() == "fresh"


def test_required_content_is_found_first(rig: Rig, tmp_path: Path) -> None:
    """Roles that the project requires come before those that its own settings name."""
    role = "- debug: {msg: from the required role}\n"
    digest = kept(tmp_path, {"requirements_roles/greet/tasks/main.yml": role})
    rig.write(
        {
            "site.yml": "- hosts: all\n  gather_facts: false\n  roles: [greet, own]\n",
            "ansible.cfg": "[defaults]\nroles_path = lib\n",
            "lib/own/tasks/main.yml": "- debug: {msg: from the own role}\n",
        },
        galaxy_content=digest,
    )
    assert rig.run().status == "successful", rig.stdout()
    assert "from the required role" in rig.stdout()
    assert "from the own role" in rig.stdout()


def test_a_tree_that_is_gone_is_named(rig: Rig) -> None:
    """A job whose content is not here ends with a sentence."""
    rig.write(project_content="0" * 64)
    (rig.dir / CONTENT_FILE).unlink()
    final = rig.run()
    assert (final.status, final.explanation) == (
        "error",
        "The project's content is not on this runner",
    )


def test_room_is_made_of_what_no_job_uses(tmp_path: Path) -> None:
    """The least recently used tree goes; one that a job sees stays; half a tree never counts."""
    (tmp_path / TREES_DIR / ".half.1" / "tree").mkdir(parents=True)
    archive = tmp_path / "a.tar"
    archive.write_bytes(tar_of({"site.yml": "x"}))
    size = archive.stat().st_size
    found = Trees(tmp_path, 2 * size)
    assert [each.name for each in (tmp_path / TREES_DIR).iterdir()] == []
    digests = [str(number) * 64 for number in range(4)]
    for age, digest in enumerate(digests):
        found.unpack(digest, archive)
        os.utime(tmp_path / TREES_DIR / digest, ns=(age, age))
    found.make_room({digests[0]})
    left = {each.name for each in (tmp_path / TREES_DIR).iterdir()}
    assert left == {digests[0], digests[3]}
    assert found.has(digests[0])
    assert not found.has(digests[1])
    broken = tmp_path / "broken.tar"
    broken.write_bytes(b"no archive")
    with pytest.raises(Unrunnable, match="cannot be unpacked"):
        found.unpack("f" * 64, broken)
    assert {each.name for each in (tmp_path / TREES_DIR).iterdir()} == left
    (tmp_path / TREES_DIR / digests[3] / "boot").write_text("of an earlier start")
    assert not Trees(tmp_path, size).has(digests[3])


async def test_content_is_unpacked_once_for_all(tmp_path: Path) -> None:
    """Where trees are shared the second job waits for nothing and copies nothing."""
    content = tar_of({"site.yml": "- hosts: all\n"})
    digest = hashlib.sha256(content).hexdigest()
    asked: list[str] = []

    async def fetch(wanted: str, target: Path) -> None:
        asked.append(wanted)
        target.write_bytes(content)

    cache = ContentCache(tmp_path, fetch, in_use=frozenset)
    for name in ("one", "two"):
        await cache.place_tree(digest, tmp_path / name)
        assert not (tmp_path / name).exists()
    assert asked == [digest]
    assert (trees.place_of(tmp_path, digest) / "site.yml").read_text() == "- hosts: all\n"
    copying = ContentCache(tmp_path / "other", fetch)
    await copying.place_tree(digest, tmp_path / "three")
    assert (tmp_path / "three").read_bytes() == content

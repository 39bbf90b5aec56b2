"""Which files AWX offers as playbooks and inventories."""

from __future__ import annotations

import tarfile
from io import BytesIO
from pathlib import Path, PurePosixPath

import pytest

from ops.playbook_files import could_be_inventory, could_be_playbook, is_skipped, offered
from tests.runners.rig import tar_of


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"- hosts: all\n", True),
        (b"---\n- name: x\n  hosts: all\n", True),
        (b"- import_playbook: other.yml\n", True),
        (b"- ansible.builtin.import_playbook: other.yml\n", True),
        (b"- include: other.yml\n", True),
        (b"broken: [yaml\nhosts: {{\n", True),
        (b"$ANSIBLE_VAULT;1.1;AES256\n6162\n", True),
        (b"- debug:\n", False),
        (b"key: hosts\n", False),
        (b"", False),
        (b"\xff\xfe- hosts: all", False),
    ],
)
def test_playbooks_have_a_play_or_import_one(content: bytes, expected: bool) -> None:  # noqa: FBT001
    """A YAML file with a line 'hosts:' or an import is offered, also when its YAML is broken."""
    assert could_be_playbook(content) is expected


@pytest.mark.parametrize(
    "path", ["roles/x/tasks/a.yml", "tasks/a.yml", ".github/a.yml", "group_vars/a.yml", "x/.a.yml"]
)
def test_some_places_hold_no_playbooks(path: str) -> None:
    """Roles, tasks, variables and hidden files are not looked at."""
    assert is_skipped(PurePosixPath(path))


def test_an_archive_offers_sorted_paths(tmp_path: Path) -> None:
    """Playbooks and inventories are listed with their paths, without regard to case."""
    files = {
        "b.yml": "- hosts: all\n",
        "A.yaml": "- hosts: all\n",
        "sub/c.yml": "- hosts: all\n",
        "vars.yml": "x: 1\n",
        "roles/r/site.yml": "- hosts: all\n",
        "hosts": "[web]\na\n",
        "inv/prod.ini": "[web]\n",
        "staging": "web1\nweb2\n",
        "README": "Text, and more text\n(parenthesis first)\n",
        "notes.md": "x\n",
    }
    archive = tmp_path / "content.tar"
    archive.write_bytes(tar_of(files))
    found = offered(archive)
    assert found.playbooks == ("A.yaml", "b.yml", "sub/c.yml")
    assert found.inventory_files == ("hosts", "inv/prod.ini", "staging")


def test_inventories_are_read_by_their_first_lines() -> None:
    """A file without suffix is an inventory when its first ten lines begin like one."""
    assert could_be_inventory(b"[web]\nhost1\n")
    assert not could_be_inventory(b"[web]\n# comment\n")
    assert could_be_inventory(b"a\n" * 10 + b"# late\n")


def test_playbooks_behind_links_are_listed_where_that_is_set(tmp_path: Path) -> None:
    """A link to a directory shows its playbooks once more; one that holds itself ends."""
    archive = tmp_path / "content.tar"
    with tarfile.open(archive, "w") as content:
        for name, link in (("shared", "lib/plays"), ("lib/plays/self", "."), ("away", "/etc")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, link
            content.addfile(member)
        member = tarfile.TarInfo("lib/plays/site.yml")
        member.size = 13
        content.addfile(member, BytesIO(b"- hosts: all\n"))
    assert offered(archive).playbooks == ("lib/plays/site.yml",)
    found = offered(archive, follow_links=True)
    assert found.playbooks == ("lib/plays/site.yml", "shared/site.yml")

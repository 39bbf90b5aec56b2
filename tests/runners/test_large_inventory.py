"""A large inventory that Ansible decodes as it asks is the same inventory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from runners import large_inventory
from runners.steps import inventory, playbook

PLAYBOOK = """
- hosts: odd_0
  gather_facts: false
  tasks:
    - debug:
        msg: "{{ [hostvars[inventory_hostname], hostvars.h0300, groups, group_names, said] }}"
    - debug: {msg: "{{ groups.even | map('extract', hostvars, 'templated') | list }}"}
      run_once: true
    - add_host: {name: h0002, groups: [more], number: 2000}
    - debug: {msg: "{{ [hostvars.h0002, groups.more] }}"}
"""


def shown(command: list[str], directory: Path, *options: str) -> str:
    """Return what a playbook printed."""
    done = subprocess.run(
        [*command, "-i", str(directory / "hosts"), *options, str(directory / "site.yml")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": str(directory)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as usual" not in done.stdout
    return done.stdout


def test_a_large_inventory_reads_as_it_always_does(tmp_path: Path) -> None:
    """Groups, precedence, templates in variables, hostvars of others and added hosts are alike."""
    hosts = [f"h{number:04}" for number in range(600)]
    data = {
        "all": {"hosts": ["alone"], "children": ["even", "odd_0"], "vars": {"said": "by all"}},
        "even": {"hosts": hosts[::2], "vars": {"said": "by even", "ansible_group_priority": 5}},
        "odd_0": {"hosts": hosts[1:40:2], "children": ["inner"]},
        "inner": {"hosts": hosts[:20], "vars": {"said": "by inner", "deep": {"a": [1, None]}}},
        "_meta": {
            "hostvars": {
                name: {
                    "number": number,
                    "templated": "{{ number + 1 }} at {{ said }}",
                    "text": "ä" * 100,
                    **({"said": "by host"} if number % 7 == 0 else {}),
                }
                for number, name in enumerate(hosts)
            }
        },
    }
    (tmp_path / "hosts.json").write_text(json.dumps(data))
    (tmp_path / "site.yml").write_text(PLAYBOOK)
    (tmp_path / "hosts").write_text(f"#!/bin/sh\nexec cat {tmp_path}/hosts.json\n")
    (tmp_path / "hosts").chmod(0o700)
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "h0003.yml").write_text("said: by a file\n")
    inventory.write_index(tmp_path)
    assert (tmp_path / large_inventory.INDEX_FILE).exists()
    ours = tmp_path / "ansible-playbook"
    ours.write_text(playbook.launcher(tmp_path, "playbook"))
    usual = str(Path(sys.executable).parent / "ansible-playbook")
    limit = ("--forks=1", "--limit", "h0001,h0003,h0014,alone")
    assert shown([sys.executable, str(ours)], tmp_path, *limit) == shown([usual], tmp_path, *limit)

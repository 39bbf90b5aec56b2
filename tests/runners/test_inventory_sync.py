"""An inventory update on a runner: what the source sees, what is told of it, what it leaves."""

from __future__ import annotations

import json

from runners.preparation import memory_dir
from runners.spec import Secrets
from tests.runners.rig import Rig, tar_of

PLUGIN = """
from ansible.plugins.inventory import BaseInventoryPlugin

DOCUMENTATION = '''
name: machines
short_description: machines
options:
  plugin: {description: the plugin, required: true}
  count: {description: how many, type: int, default: 1}
'''


class InventoryModule(BaseInventoryPlugin):
    NAME = "acme.cloud.machines"

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path)
        self._read_config_data(path)
        for number in range(self.get_option("count")):
            inventory.add_host(f"m{number}")
"""
SCRIPT = """#!/bin/sh
echo "token $ACME_TOKEN of $INVENTORY_ID" >&2
cat <<END
{"all": {"hosts": ["a"], "vars": {"home": "$HOME", "flavour": "$FLAVOUR"}},
 "_meta": {"hostvars": {}}}
END
"""


def test_a_plugin_of_a_required_collection_is_found(rig: Rig) -> None:
    """What the project requires is where Ansible looks first."""
    place = "requirements_collections/ansible_collections/acme/cloud/plugins/inventory/machines.py"
    rig.write(
        {"machines.yml": "plugin: acme.cloud.machines\ncount: 3\n"},
        kind="inventory_update",
        source="scm",
        source_path="machines.yml",
        galaxy_content="0" * 64,
    )
    (rig.dir / "galaxy.tar").write_bytes(tar_of({place: PLUGIN}))
    final = rig.run()
    assert final.status == "successful", (final.explanation, rig.stdout())
    found = json.loads((rig.dir / "imported.json").read_text())
    assert found["ungrouped"]["hosts"] == ["m0", "m1", "m2"]


def test_a_script_gets_its_variables_and_tells_no_secret(rig: Rig) -> None:
    """Credentials reach it by its environment; HOME stays the job's; a secret is masked."""
    rig.write(
        {"script.sh": SCRIPT},
        kind="inventory_update",
        source="scm",
        source_path="script.sh",
        source_vars="HOME: /nowhere\nFLAVOUR: sour",
        inventory=7,
        verbosity=1,
    )
    secret = "correct-horse-battery"
    final = rig.run(Secrets(env={"ACME_TOKEN": secret}, mask=(secret,)))
    assert (final.status, final.rc) == ("successful", 0), (final.explanation, rig.stdout())
    found = json.loads((rig.dir / "imported.json").read_text())
    shown = {"home": str(rig.dir / "home"), "flavour": "sour"}
    assert found["all"]["vars"] == shown
    assert secret.encode() not in rig.raw()
    assert {each.event for each in rig.events()} == {"verbose"}
    assert "Read 0 groups" in rig.stdout()
    assert not memory_dir(rig.dir).exists()
    assert rig.processes() == []

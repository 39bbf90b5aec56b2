"""A large inventory in Ansible: every host is there, its variables are decoded when asked for.

Ansible decodes and tags each variable of each host before the first task, which of 10,000 hosts
takes four times as long as the rest of a short run. Our start of its commands installs this: the
script plugin reads the job's own inventory from two files, an index and the variables' JSON, and
gives hosts variables that decode themselves by the plugin's own decoder. ``groups`` and
``hostvars`` say what they always say. Whatever goes wrong here, the plugin goes its usual way.
Loaded by path, without anything else of ours.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

INDEX_FILE = "hosts.index.json"
VARS_FILE = "hosts.vars"
_META = "_meta"


class LazyVars(MutableMapping[str, Any]):
    """Variables of one host: those that Ansible set, and behind them those of the inventory."""

    def __init__(self, own: dict[str, Any], load: Any) -> None:
        """``load`` returns the inventory's."""
        self._own = own
        self._load = load

    def _all(self) -> dict[str, Any]:
        if self._load is not None:
            self._own, self._load = {**self._own, **self._load()}, None
        return self._own

    def __getitem__(self, key: str) -> Any:
        """Decode all."""
        return self._all()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        """Set one over those of the inventory."""
        self._all()[key] = value

    def __delitem__(self, key: str) -> None:
        """Take one away."""
        del self._all()[key]

    def __iter__(self) -> Iterator[str]:
        """Decode all."""
        return iter(self._all())

    def __len__(self) -> int:
        """Decode all."""
        return len(self._all())

    def __or__(self, other: Any) -> Any:
        """Stay undecoded where nothing is added: Ansible does so once for every host."""
        return {**self._all(), **other} if other else self

    def __ror__(self, other: Any) -> dict[str, Any]:
        """Lie over others."""
        return {**other, **self._all()}

    def copy(self) -> dict[str, Any]:
        """Return a plain copy."""
        return dict(self._all())


def install(directory: Path) -> None:
    """Let the script plugin read the inventory of this directory so, where it is a large one."""
    index = directory / INDEX_FILE
    if not index.exists():
        return
    from ansible.plugins.inventory import script

    module = script.InventoryModule
    usual = module.parse
    own = str(directory / "hosts")

    def parse(self: Any, inventory: Any, loader: Any, path: str, **more: Any) -> None:
        if str(path) == own:
            gc.disable()  # all of it stays to the end: looking for garbage in it is in vain
            try:
                super(module, self).parse(inventory, loader, path)
                self.set_options()
                _fill(self, inventory, directory, script)
            except Exception as error:  # noqa: BLE001 - another Ansible than this was written for
                script.display.vvv(f"reading the inventory as usual: {error!r}")
            else:
                return
            finally:
                gc.freeze()
                gc.enable()
        usual(self, inventory, loader, path, **more)

    module.parse = parse


def _fill(plugin: Any, inventory: Any, directory: Path, script: Any) -> None:
    from ansible.inventory.host import Host

    index = json.loads((directory / INDEX_FILE).read_text(encoding="utf-8"))
    content = memoryview((directory / VARS_FILE).read_bytes())
    decoder = script._inventory_legacy.Decoder  # noqa: SLF001 - the plugin's own
    inspector = inventory._inspector  # noqa: SLF001 - what set_variable asks
    origin = script.Origin(
        description=f"<inventory script output from {str(directory / 'hosts')!r}>"
    )

    def decoded(text: str) -> dict[str, Any]:
        # What a script prints may hold templates, and says where it came from.
        found: dict[str, Any] = json.loads(
            script.TrustedAsTemplate().tag(origin.tag(text)), cls=decoder
        )
        return found

    groups = decoded(json.dumps(index["groups"]))
    source = inventory.current_source
    place = {"inventory_file": source, "inventory_dir": str(Path(source).parent)}

    def made(name: str, start: int, end: int) -> Any:
        def load() -> dict[str, Any]:
            text = f'{{"{_META}":{{"hostvars":{{"h":{str(content[start:end], "utf-8")}}}}}}}'
            scratch = Host(name, gen_uuid=False)
            for key, value in decoded(text)[_META]["hostvars"]["h"].items():
                scratch.set_variable(key, inspector.visit(value))
            return dict(scratch.vars)

        host = Host(name)
        host.vars = LazyVars(dict(place), load)
        return host

    hosts = {name: made(name, *span) for name, span in index["hosts"].items()}
    for name, data in groups.items():
        plugin._parse_group(name, data, origin)  # noqa: SLF001 - groups are the plugin's as they are
    for name, host in hosts.items():
        inventory.hosts[name] = host
    for name, members in index["members"].items():
        _join(inventory.groups[name], [hosts[each] for each in members])
    for name in ("localhost", "127.0.0.1", "::1"):
        if name in hosts and inventory.localhost is None:
            inventory.localhost = hosts[name]


def _join(group: Any, hosts: list[Any]) -> None:
    """Put hosts into a group at once, as one after another would be."""
    group.hosts = hosts
    group._hosts = {host.name for host in hosts}  # noqa: SLF001 - what add_host keeps
    above = [*group.get_ancestors(), group]
    for host in hosts:
        host.groups += [each for each in above if each not in host.groups]
    group.clear_hosts_cache()

"""What a command that is not decided by declarations counts on: objects, and what they go with."""

from __future__ import annotations

from controlplane.domain.errors import NotFound
from controlplane.shell.config_writer import ConfigView
from schemas.resource import RESOURCES


async def standing(view: ConfigView, *objects: tuple[str, int]) -> frozenset[str]:
    """Return the keys of objects and of their cascade ancestors, for a read set.

    Who deletes an ancestor writes only that one's key. Raises NotFound for an object not there.
    """
    keys: set[str] = set()
    waiting = list(objects)
    while waiting:
        kind, number = waiting.pop()
        if kind not in RESOURCES:
            raise NotFound(kind)
        resource = RESOURCES[kind]
        sql = f'select * from "{kind}" where "id" = $1'  # noqa: S608 - a declared kind
        row = await view.connection.fetchrow(sql, number)
        if row is None:
            raise NotFound(resource.verbose)
        keys.add(f"{kind}:{number}")
        waiting += [
            (field.ref.kind, row[field.name])
            for field in resource.fields.values()
            if field.ref is not None
            and field.ref.on_delete == "cascade"
            and row[field.name] is not None
            and f"{field.ref.kind}:{row[field.name]}" not in keys
        ]
    return frozenset(keys)

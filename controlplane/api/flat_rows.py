"""Lists of rows without the usual envelope of an object: an id, a URL and their own values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from litestar import Response
from msgspec import Struct

from controlplane.api import options, pagination
from controlplane.api.call import Call, answer
from controlplane.api.errors import Missing
from controlplane.api.listing import Within, find
from controlplane.api.tables import Column, Table, column, register, table_of
from controlplane.api.where import Sql
from controlplane.domain.numerals import whole
from controlplane.shell.read_model import Row

BASES = {
    "integer": "int",
    "id": "id",
    "string": "str",
    "choice": "str",
    "boolean": "bool",
    "datetime": "time",
    "date": "str",
}


class FlatKind(Struct, frozen=True, kw_only=True):
    """A kind of such rows: where they are read, and what they show, in order."""

    kind: str
    plural: str
    verbose: str
    source: str
    fields: Mapping[str, str]
    """Name to the type that OPTIONS says; each is a column of ``source``."""
    search: tuple[str, ...]
    order: tuple[str, ...] = ("id",)
    has_url: bool = True

    def declare(self) -> None:
        """Make it known to filters."""
        columns: dict[str, Column] = {
            name: column(name, BASES[shape])
            for name, shape in {"id": "integer", **self.fields}.items()
        }
        register(
            Table(
                kind=self.kind,
                source=self.source,
                verbose=self.verbose,
                columns=columns,
                relations={},
                order=self.order,
                search=self.search,
            )
        )

    def shown(self, row: Row) -> dict[str, Any]:
        """Return a row as it is answered."""
        head: dict[str, Any] = {"id": row["id"]}
        if self.has_url:
            head["url"] = f"/api/v2/{self.plural}/{row['id']}/"
        return head | {name: row[name] for name in self.fields}

    def described(self, *, detail: bool) -> dict[str, Any]:
        """Return the OPTIONS body of the list, or of one row."""
        shapes = {"id": "integer", **({"url": "string"} if self.has_url else {}), **self.fields}
        fields = {
            name: {
                "type": shape,
                "label": name.replace("_", " ").capitalize(),
                "filterable": name != "url",
                "hidden": False,
            }
            for name, shape in shapes.items()
        }
        title = self.kind.replace("_", " ").title()
        name = f"{title} {'Detail' if detail else 'List'}"
        body = options.plain(name, (self.kind,), {"GET": fields})
        if detail:
            return body
        return {
            **body,
            "search_fields": list(self.search),
            "related_search_fields": [],
            "object_roles": [],
            "max_page_size": pagination.PAGE_SIZE_MAX,
        }


Endpoint = Callable[[Call], Awaitable[Response[Any]]]


def lister(flat: FlatKind, condition: str = "") -> Endpoint:
    """Return the endpoint of a list; ``condition`` names the path's object as ``{0}``."""

    async def show(call: Call) -> Response[Any]:
        where = Sql(text=condition or "true", values=(call.target.id,) if condition else ())
        async with call.read() as view:
            found = await find(call, view, flat.kind, Within(where=where), open_list=True)
        rows = [flat.shown(row) for row in found.rows]
        return answer(pagination.envelope(found.page, call.path, call.pairs, found.count, rows))

    return show


def shower(flat: FlatKind) -> Endpoint:
    """Return the endpoint of one row, named by the path's ``key``."""

    async def show(call: Call) -> Response[Any]:
        return answer(flat.shown(await row_of(flat, call)))

    return show


async def row_of(flat: FlatKind, call: Call) -> Row:
    """Return the row that the path's ``key`` names; raises 404."""
    number = whole(str(call.request.path_params["key"]))
    sql = f'select t.* from {table_of(flat.kind).source} t where t."id" = $1'  # noqa: S608 - from a declaration
    async with call.read() as view:
        row = None if number is None else await view.row(sql, number)
    if row is None:
        raise Missing(flat.verbose)
    return row


def describer(flat: FlatKind, *, detail: bool = False) -> Endpoint:
    """Return the endpoint of OPTIONS."""

    async def describe(_call: Call) -> Response[Any]:
        return answer(flat.described(detail=detail))

    return describe

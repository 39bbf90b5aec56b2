"""The API's own description as an OpenAPI 3.1 document, from routes and declarations.

It derives from ``app.routes``: a route that is added is described with it. Bodies come from
declarations; a hand-written route takes an object whose members AWX's documentation tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from controlplane.api import links, negotiation
from controlplane.api.call import Call, encode
from controlplane.api.edge import VERSION
from controlplane.api.guards import KEY, LOGIN, Permission
from controlplane.api.options import readable
from controlplane.api.pagination import PAGE_SIZE_MAX
from controlplane.api.routing import routes
from controlplane.api.tables import known, table_of
from schemas.resource import RESOURCES, Field, Related, Resource

PATH = "/api/v2/openapi.json"
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
INT_MAX = 2147483647
_PARAMETER = re.compile(r"\{(\w+):(\w+)\}")
_JSON_TYPES = {"str": "string", "int": "integer", "id": "integer", "bool": "boolean"}
_SHOWN_TYPES = {
    "string": "string",
    "integer": "integer",
    "id": "integer",
    "boolean": "boolean",
    "datetime": "string",
}
_SENT = {
    "GET": ("200", "302"),
    "POST": ("200", "201", "202", "204", "302"),
    "PUT": ("200", "204"),
    "PATCH": ("200", "204"),
    "DELETE": ("200", "202", "204"),
}
_REFUSED = {
    "400": "What is wrong with the request, by field or as a sentence.",
    "401": "Nobody, or not who they claim to be.",
    "403": "The caller may not do this.",
    "404": "There is no such object, page or form.",
    "406": "No form of the answer is accepted.",
    "503": "Nothing was changed; the same request may be sent again.",
}
_REFUSED_BODY = {
    "405": "Not in the state that the object is in.",
    "409": "In use by active jobs, or changed at the same moment.",
    "413": "The body is too large.",
    "415": "The body is no JSON.",
}
_LIST_PARAMETERS: tuple[dict[str, Any], ...] = tuple(
    {"name": name, "in": "query", "description": text, "schema": schema}
    for name, schema, text in (
        ("page", {"type": "integer", "minimum": 1}, "Which page."),
        (
            "page_size",
            {"type": "integer", "minimum": 1, "maximum": PAGE_SIZE_MAX},
            "How many rows a page has.",
        ),
        ("order_by", {"type": "string"}, "Columns, by comma; a minus sign reverses."),
        ("search", {"type": "string"}, "Words that must stand in a searched field."),
    )
)
_PAGE = {
    "type": "object",
    "properties": {"results": {"type": "array", "items": {"type": "object"}}},
    "required": ["results"],
}
_ATTACH = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "disassociate": {"type": "boolean"}},
}


def openapi_handlers() -> list[HTTPRouteHandler]:
    """Return the route of the document."""
    return routes(PATH, {"GET": (LOGIN, show)}, "OpenAPI")


async def show(call: Call) -> Response[Any]:
    """Answer the document of the application that is asked."""
    state = call.request.app.state
    if "openapi" not in state:
        state["openapi"] = encode(document(call.request.app))
    return Response(content=state["openapi"], media_type="application/json")


def document(app: Litestar) -> dict[str, Any]:
    """Return the whole document."""
    paths: dict[str, Any] = {}
    for route in app.routes:
        if isinstance(route, HTTPRoute) and route.path.startswith("/api"):
            path = route.path if route.path == PATH else f"{route.path.rstrip('/')}/"
            described = dict(_operations(route))
            if described:
                paths[_PARAMETER.sub(r"{\1}", path)] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "Playlog", "version": VERSION},
        "servers": [{"url": "/"}],
        "security": [{"basic": []}, {"bearer": []}, {"session": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "awx_sessionid"},
            },
            "schemas": {
                "Error": {"type": ["object", "array"]},
                "Page": _PAGE,
                "Attach": _ATTACH,
                **{kind: _shown(resource) for kind, resource in RESOURCES.items()},
                **{f"{kind}.new": _sent(each, partial=False) for kind, each in RESOURCES.items()},
                **{f"{kind}.change": _sent(each, partial=True) for kind, each in RESOURCES.items()},
            },
            "parameters": {
                **{each["name"]: each for each in _LIST_PARAMETERS},
                **{kind: _filters(kind) for kind in set(_kinds().values()) if known(kind)},
            },
            "responses": {
                status: _refusal(text) for status, text in {**_REFUSED, **_REFUSED_BODY}.items()
            },
        },
    }


def _operations(route: HTTPRoute) -> Iterable[tuple[str, dict[str, Any]]]:
    for handler in route.route_handlers:
        for method in VERBS:
            if method in handler.http_methods:
                yield method.lower(), _operation(route.path, method, handler)


def _operation(path: str, method: str, handler: HTTPRouteHandler) -> dict[str, Any]:
    permission = handler.opt.get(KEY)
    named = [each for each in path.split("/") if each and not each.startswith("{")]
    segments = named or ["root"]
    kind = _listed(path)
    found: dict[str, Any] = {
        "operationId": "_".join([method.lower(), *re.findall(r"\w+", path)]),
        "tags": [segments[2] if len(segments) > 2 else segments[-1]],  # noqa: PLR2004 - below /api/v2
        "parameters": [*_path_parameters(path), *(_query(kind) if method == "GET" else ())],
        "responses": _responses(path, method, handler),
    }
    if isinstance(permission, Permission):
        found["description"] = _asked(permission)
        if permission.verb == "anonymous":
            found["security"] = []
    if method in ("POST", "PUT", "PATCH"):
        schema = _body(path, method)
        content = {negotiation.JSON: {"schema": schema}}
        found["requestBody"] = {"required": False, "content": content}
    return found


def _asked(permission: Permission) -> str:
    """Say what a permission asks of the caller."""
    if not permission.kind:
        words = {"anonymous": "Anybody.", "login": "Any user.", "audit": "Superuser or auditor."}
        words["client"] = "Whoever proves it by what is sent."
        return words.get(permission.verb, "Superuser.")
    return f"Who may {permission.verb} the {permission.kind.replace('_', ' ')}."


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "integer"} if of == "int" else {"type": "string", "minLength": 1},
        }
        for name, of in _PARAMETER.findall(path)
    ]


def _query(kind: str) -> list[dict[str, Any]]:
    """Return the query parameters of a list: pages, order, search and the filters there are."""
    if not kind:
        return []
    names = [each["name"] for each in _LIST_PARAMETERS] + ([kind] if known(kind) else [])
    return [_to("parameters", name) for name in names]


def _filters(kind: str) -> dict[str, Any]:
    table = table_of(kind)
    names = [name for name, column in table.columns.items() if not column.secret]
    return {
        "name": "filters",
        "in": "query",
        "description": "Any column or relation, with lookups and prefixes by __.",
        "style": "form",
        "explode": True,
        "schema": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in (*names, *table.relations)},
            "additionalProperties": {"type": "string"},
        },
    }


def _to(section: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{section}/{name}"}


def _refusal(text: str) -> dict[str, Any]:
    content = {negotiation.JSON: {"schema": _to("schemas", "Error")}, negotiation.HTML: {}}
    return {"description": text, "content": content}


def _responses(path: str, method: str, handler: HTTPRouteHandler) -> dict[str, Any]:
    renders = handler.opt.get(negotiation.RENDERS, negotiation.DEFAULT)
    shown = _answered(path, method)
    content: dict[str, Any] = {
        media: {"schema": shown} if shown and media == negotiation.JSON else {} for media in renders
    }
    found: dict[str, Any] = {}
    for status in _SENT[method]:
        found[status] = {"description": "Done."}
        if status not in ("204", "302"):
            found[status]["content"] = content
    refused = _REFUSED if method == "GET" else {**_REFUSED, **_REFUSED_BODY}
    return {**found, **{status: _to("responses", status) for status in refused}}


def _answered(path: str, method: str) -> dict[str, Any]:
    """Return the schema of the answer to a request that is granted; empty when not known."""
    kind = _listed(path)
    if kind and method == "GET":
        if kind not in RESOURCES:
            return _to("schemas", "Page")
        rows = {"type": "array", "items": _to("schemas", kind)}
        return {"allOf": [_to("schemas", "Page"), {"properties": {"results": rows}}]}
    detail = _detail(path)
    return _to("schemas", detail.kind) if detail and method != "DELETE" else {}


def _detail(path: str) -> Resource | None:
    """Return the resource whose object a path is."""
    parts = path.strip("/").split("/")
    if len(parts) != 4 or not parts[3].startswith("{"):  # noqa: PLR2004 - /api/v2/<plural>/<key>
        return None
    return RESOURCES.get(_kinds().get(parts[2], ""))


def _listed(path: str) -> str:
    """Return the kind that a path lists; empty when it is no list of a known kind."""
    parts = path.strip("/").split("/")
    if parts[:2] != ["api", "v2"] or parts[-1].startswith("{"):
        return ""
    if len(parts) == 3:  # noqa: PLR2004 - /api/v2/<plural>
        return _kinds().get(parts[2], "")
    related = _relation(path)
    return related[1].kind if related else ""


def _kinds() -> dict[str, str]:
    plurals = {plural: kind for kind, plural in links.OTHER_PLURALS.items()}
    return {**plurals, **{each.plural: kind for kind, each in RESOURCES.items()}}


def _relation(path: str) -> tuple[Resource, Related] | None:
    """Return the owner and the declared relation that a path is a sub-list of."""
    parts = path.strip("/").split("/")
    if len(parts) != 5 or parts[2] not in _kinds():  # noqa: PLR2004 - /api/v2/<plural>/<key>/<name>
        return None
    resource = RESOURCES.get(_kinds()[parts[2]])
    if resource is None:
        return None
    found = next((each for each in resource.related if each.name == parts[4]), None)
    return None if found is None else (resource, found)


def _body(path: str, method: str) -> dict[str, Any]:
    """Return the schema of a request's body."""
    related = _relation(path)
    if related is not None:
        attach = _to("schemas", "Attach")
        creates = related[1].create and related[1].kind in RESOURCES
        made = _to("schemas", f"{related[1].kind}.new")
        return {"anyOf": [attach, made]} if creates else attach
    kind = _listed(path)
    resource = RESOURCES.get(kind) if kind else _detail(path)
    if resource is None:
        return {"type": "object"}
    return _to("schemas", f"{resource.kind}.{'change' if method == 'PATCH' else 'new'}")


def _sent(resource: Resource, *, partial: bool) -> dict[str, Any]:
    fields = [field for field in resource.fields.values() if not field.read_only]
    found: dict[str, Any] = {
        "type": "object",
        "properties": {field.name: _field(field) for field in fields},
    }
    required = [field.name for field in fields if field.required]
    if required and not partial:
        found["required"] = required
    return found


def _field(field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {}
    kind = _JSON_TYPES.get(field.base)
    if field.json is not None:
        kind = "string" if field.json.form == "text" else None
    if field.choices is not None:
        found["enum"] = [value for value, _ in field.choices.pairs]
    elif kind is not None:
        found["type"] = [kind, "null"] if field.nullable else kind
    if kind == "string" and field.meta is not None and field.meta.max_length is not None:
        found["maxLength"] = field.meta.max_length
    if kind == "integer":
        found |= {"minimum": -INT_MAX - 1, "maximum": INT_MAX}
    if field.help.text:
        found["description"] = field.help.text
    if field.secret is not None or field.hidden:
        found["writeOnly"] = True
    return found


def _shown(resource: Resource) -> dict[str, Any]:
    """Return the schema of an object as it is shown; AWX shows null where a value is not yet."""
    properties: dict[str, Any] = {}
    for name, field in readable(resource).items():
        kind = _SHOWN_TYPES.get(field["type"])
        properties[name] = {"type": [kind, "null"]} if kind else {}
        if field.get("help_text"):
            properties[name]["description"] = field["help_text"]
    return {"type": "object", "properties": properties, "required": ["id", "type", "url"]}

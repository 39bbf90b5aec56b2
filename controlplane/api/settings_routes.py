"""Settings over HTTP (``api.md`` 3.47): a bare object of values for each category."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import named_urls, options, pagination
from controlplane.api.call import Call, answer, empty
from controlplane.api.errors import Missing, PermissionDenied, Refusal
from controlplane.api.guards import LOGIN, SUPERUSER
from controlplane.api.installation import install_uuid
from controlplane.api.routing import routes
from controlplane.api.writes import caught_up, position_header, submit
from controlplane.domain import setting_changes
from controlplane.shell import setting_commands
from controlplane.shell.config_writer import Appended
from controlplane.shell.settings_store import shown
from schemas.events.setting import SettingsChanged
from schemas.resource import RESOURCES
from schemas.settings import CATEGORIES, Setting, of_category
from schemas.settings.external import ADDRESSES

USER = "user"
"""The category of what users set for themselves: nothing, for everybody."""
NOT_SENT = "Playlog does not send its logs to an aggregator yet."
_ROOT = "/api/v2/settings"


def settings_handlers() -> list[HTTPRouteHandler]:
    """Return the routes below ``/api/v2/settings/``."""
    return [
        *routes(_ROOT, {"GET": (LOGIN, show_categories)}, (LOGIN, describe_categories)),
        *routes(f"{_ROOT}/logging/test", {"POST": (SUPERUSER, test_logging)}, "Logging Test"),
        *routes(
            f"{_ROOT}/{{slug:str}}",
            {
                "GET": (LOGIN, show),
                "PUT": (LOGIN, replace),
                "PATCH": (LOGIN, change),
                "DELETE": (LOGIN, reset),
            },
            (LOGIN, describe),
        ),
    ]


async def show_categories(call: Call) -> Response[Any]:
    """List the categories; whoever may not read settings sees none."""
    slugs = sorted(CATEGORIES) if _reads(call) else []
    rows = [{"url": f"{_ROOT}/{slug}/", "slug": slug, "name": CATEGORIES[slug]} for slug in slugs]
    page = pagination.read(call.pairs)
    part = rows[page.offset : page.offset + page.size]
    return answer(pagination.envelope(page, call.path, call.pairs, len(rows), part))


async def describe_categories(_call: Call) -> Response[Any]:
    """Describe the list of categories."""
    fields = {
        name: {"type": "string", "label": name.title(), "filterable": False, "hidden": False}
        for name in ("url", "slug", "name")
    }
    body = options.plain("Setting Categories", ("setting_category",), {"GET": fields})
    return answer({**body, "search_fields": [], "max_page_size": pagination.PAGE_SIZE_MAX})


async def show(call: Call) -> Response[Any]:
    """Show the values of a category."""
    slug = _slug(call, write=False)
    return answer(await _values(call, slug))


async def describe(call: Call) -> Response[Any]:
    """Describe the settings of a category; PUT names those that can be written."""
    slug = _slug(call, write=False)
    settings = [] if slug == USER else _of(call, slug)
    actions = {"GET": {each.name: _described(each) for each in settings}}
    if call.who.superuser and slug != USER:
        actions["PUT"] = {
            each.name: {**_described(each), **_writable(each)}
            for each in settings
            if not each.read_only
        }
    return answer(options.plain("Setting Detail", ("setting",), actions))


async def replace(call: Call) -> Response[Any]:
    """Set the values of a category; the required ones must be named."""
    return await _write(call, partial=False)


async def change(call: Call) -> Response[Any]:
    """Set some values of a category."""
    return await _write(call, partial=True)


async def reset(call: Call) -> Response[Any]:
    """Give the settings of a category their defaults: 204."""
    slug = _slug(call, write=True)
    appended = await submit(call, setting_commands.reset(slug))
    await _settled(call, appended)
    return empty(204, position_header(appended))


async def test_logging(call: Call) -> Response[Any]:
    """Say why no test message is sent: logging is off, or nothing sends logs."""
    await call.body()
    if not call.services.settings_store.flag("LOG_AGGREGATOR_ENABLED"):
        raise Refusal(409, {"error": "Logging not enabled"})
    raise Refusal(400, {"error": NOT_SENT})


async def _write(call: Call, *, partial: bool) -> Response[Any]:
    slug = _slug(call, write=True)
    values = setting_changes.given(slug, await call.body(), partial=partial)
    command = setting_commands.set_values(values, call.services.vault)
    appended = await submit(call, command)
    await _settled(call, appended)
    return answer(await _values(call, slug), 200, position_header(appended))


async def _settled(call: Call, appended: Appended) -> None:
    """Have this process read what it has just written, also while the read model lags behind."""
    store = call.services.settings_store
    if await caught_up(call, appended):
        await store.freshen(appended.position)
        return
    for event in appended.events:
        if isinstance(event, SettingsChanged):
            store.learn(event, appended.position)


def _reads(call: Call) -> bool:
    return call.who.superuser or call.who.auditor


def _slug(call: Call, *, write: bool) -> str:
    """Return the category of the path, which exists and is the caller's to read or write."""
    slug = str(call.request.path_params["slug"])
    if slug != USER and slug not in CATEGORIES:
        raise Missing
    allowed = call.who.superuser if write else _reads(call) or slug == USER
    if not allowed:
        raise PermissionDenied
    return slug


def _of(call: Call, slug: str) -> list[Setting]:
    changed = call.services.settings_store.changed
    return [each for each in of_category(slug) if slug != "changed" or each.name in changed]


async def _values(call: Call, slug: str) -> dict[str, Any]:
    store = call.services.settings_store
    settings = [] if slug == USER else _of(call, slug)
    found = {each.name: shown(each, store.get(each.name)) for each in settings}
    if "NAMED_URL_FORMATS" in found:
        found |= _named_urls()
    if "INSTALL_UUID" in found:
        async with call.read() as view:
            found["INSTALL_UUID"] = await install_uuid(view)
    return found | _addresses(call, settings)


def _addresses(call: Call, settings: list[Setting]) -> dict[str, str]:
    """Return the settings that show where identity providers find this service."""
    base = call.request.app.state.external.base(call.request)
    return {
        each.name: base + path.format(each.slug)
        for each in settings
        for words, path in ADDRESSES.items()
        if each.read_only and each.name.endswith(f"_{words}")
    }


def _named_urls() -> dict[str, Any]:
    kinds = {kind: resource.plural for kind, resource in RESOURCES.items()}
    kinds |= {"instance": "instances"}
    formats: dict[str, str] = {}
    nodes: dict[str, Any] = {}
    for kind, plural in kinds.items():
        fields = named_urls.fields_of(kind)
        if fields:
            formats[plural] = named_urls.format_of(kind)
            nodes[plural] = {
                "fields": [name for name in fields if "." not in name],
                "adj_list": [
                    [name, kinds[target]] for name, target in named_urls.references_of(kind).items()
                ],
            }
    return {"NAMED_URL_FORMATS": formats, "NAMED_URL_GRAPH_NODES": nodes}


def _described(setting: Setting) -> dict[str, Any]:
    """Return what OPTIONS says of a setting to whoever may read it."""
    found: dict[str, Any] = {"type": setting.kind, "label": setting.label}
    if setting.help:
        found["help_text"] = setting.help
    found |= {"category": setting.category, "category_slug": setting.slug}
    bounds = {
        "unit": setting.unit,
        "min_value": setting.low,
        "max_value": setting.high,
        "choices": [list(pair) for pair in setting.choices],
    }
    found |= {name: value for name, value in bounds.items() if value not in (None, "", [])}
    if setting.kind in ("list", "nested object"):
        kind = "field" if setting.item == "any" else setting.item
        found["child"] = {"type": kind, "required": True, "read_only": False}
    return {**found, "defined_in_file": False, "filterable": False, "hidden": setting.hidden}


def _writable(setting: Setting) -> dict[str, Any]:
    """Return what OPTIONS says beyond that to whoever may write it."""
    found: dict[str, Any] = {"required": setting.required}
    if setting.default is not None:
        found["default"] = setting.default
    if setting.placeholder is not None:
        found["placeholder"] = setting.placeholder
    return found

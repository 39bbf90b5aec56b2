"""OPTIONS beside what AWX 24.6.1 answered to the same requests (``awx_options.json``)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from controlplane.api import links, options, shown_options
from controlplane.api.options import kind_named
from schemas.resource import RESOURCES
from tests.tidy.test_routes import application

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("awx_options.json").read_text())
FIELDS: dict[str, Any] = json.loads(Path(__file__).with_name("awx_fields.json").read_text())
"""List to the fields of each action, with types; required ones are marked."""
DIFFERENCES = frozenset(
    Path(__file__).with_name("options_differences.txt").read_text().splitlines()
)
"""Where OPTIONS differs from AWX's and why not is known: each line is one."""


@pytest.mark.parametrize("plural", sorted(RECORDED))
def test_bodies_are_described_as_awx_does(plural: str) -> None:
    """Every field AWX takes is offered with its type, length and whether it is required."""
    ours = options.of_list(RESOURCES[kind_named(plural)], create=True)["actions"]["POST"]
    found = {
        name: {key: ours.get(name, {}).get(key) for key in described}
        for name, described in RECORDED[plural]["fields"].items()
    }
    assert found == RECORDED[plural]["fields"]


@pytest.mark.parametrize("plural", sorted(RECORDED))
def test_roles_and_searched_fields_are_awx_s(plural: str) -> None:
    """The command offers grants by ``object_roles`` and its export reads ``search_fields``."""
    body = options.of_list(RESOURCES[kind_named(plural)], create=True)
    assert body.get("object_roles", []) == RECORDED[plural]["object_roles"]
    assert sorted(body["search_fields"]) == RECORDED[plural]["search_fields"]


@pytest.mark.parametrize("kind", sorted(shown_options.FIELDS))
def test_what_is_only_read_has_get_actions(kind: str) -> None:
    """The command makes ``list`` of a list's ``actions.GET``: jobs have one too."""
    application()
    found = shown_options.of_list(kind)["actions"]
    assert list(found) == ["GET"]
    assert {"id", "url", *shown_options.FIELDS[kind]} <= set(found["GET"])


def described(fields: Mapping[str, Any]) -> set[str]:
    """Return fields as ``name:type``, with a mark on those that are required."""
    return {
        f"{name}:{field['type']}{'!' if field.get('required') else ''}"
        for name, field in fields.items()
    }


def bodies(plural: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return ``list`` and ``detail`` with the body of OPTIONS, of a kind that is served."""
    kind = next((k for k in known_kinds() if links.plural_of(k) == plural), "")
    if kind in RESOURCES:
        yield "list", options.of_list(RESOURCES[kind], create=True)
        yield "detail", options.of_detail(RESOURCES[kind], edit=True)
    elif kind in shown_options.FIELDS:
        yield "list", shown_options.of_list(kind)
        yield "detail", shown_options.of_detail(kind)


def known_kinds() -> list[str]:
    """Return every kind that has a list."""
    application()
    return [*RESOURCES, *(kind for kind in links.OTHER_PLURALS if kind in shown_options.FIELDS)]


@pytest.mark.parametrize("plural", sorted(FIELDS))
def test_every_action_names_awx_s_fields(plural: str) -> None:
    """Each list and detail, each verb: AWX's fields and types, but for differences written down."""
    found = set()
    for where, body in bodies(plural):
        for verb, fields in body["actions"].items():
            theirs = set(FIELDS[plural].get(where, {}).get(verb, "").split())
            if theirs:
                ours = described(fields)
                found |= {f"{plural} {where} {verb} lacks {each}" for each in theirs - ours}
                found |= {f"{plural} {where} {verb} adds {each}" for each in ours - theirs}
    assert found - DIFFERENCES == set()

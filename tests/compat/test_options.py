"""OPTIONS beside what AWX 24.6.1 answered to the same requests (``awx_options.json``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import controlplane.api.token_routes  # noqa: F401 - registers the table of tokens
from controlplane.api import options, shown_options
from controlplane.api.job_tables import register_job_tables
from controlplane.api.options import kind_named
from schemas.resource import RESOURCES

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("awx_options.json").read_text())


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
    assert body["object_roles"] == RECORDED[plural]["object_roles"]
    assert sorted(body["search_fields"]) == RECORDED[plural]["search_fields"]


@pytest.mark.parametrize("kind", sorted(shown_options.FIELDS))
def test_what_is_only_read_has_get_actions(kind: str) -> None:
    """The command makes ``list`` of a list's ``actions.GET``: jobs have one too."""
    register_job_tables()
    found = shown_options.of_list(kind)["actions"]
    assert list(found) == ["GET"]
    assert {"id", "url", *shown_options.FIELDS[kind]} <= set(found["GET"])

"""Notification templates over HTTP: checked by type, secrets kept, sending never pretended."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEBHOOK = {"url": "https://hook.example.com/", "headers": {}, "password": "hunter-webhook"}
REFUSED: list[tuple[str, dict[str, Any], dict[str, list[str]]]] = [
    (
        "missing fields are named together",
        {"notification_type": "webhook", "notification_configuration": {}},
        {
            "__all__": [
                "Missing required fields for Notification Configuration: ['url', 'headers']."
            ]
        },
    ),
    (
        "a bool is no int",
        {
            "notification_type": "irc",
            "notification_configuration": {
                "server": "irc",
                "port": True,
                "nickname": "n",
                "password": "p",
                "use_ssl": False,
                "targets": ["#a"],
            },
        },
        {"__all__": ["Configuration field 'port' incorrect type, expected int."]},
    ),
    (
        "an empty list names nobody",
        {
            "notification_type": "slack",
            "notification_configuration": {"token": "t", "channels": []},
        },
        {"__all__": ["No values specified for field 'channels'"]},
    ),
    (
        "only POST and PUT",
        {"notification_configuration": {**WEBHOOK, "http_method": "GET"}},
        {"__all__": ["HTTP method must be either 'POST' or 'PUT'."]},
    ),
    (
        "an unknown type",
        {"notification_type": "pigeon"},
        {"notification_type": ['"pigeon" is not a valid choice.']},
    ),
    (
        "an unknown event",
        {"messages": {"zz": {}}},
        {
            "messages": [
                (
                    "Event 'zz' invalid, must be one of 'started', 'success', 'error', or"
                    " 'workflow_approval'"
                )
            ]
        },
    ),
    (
        "a field that will not exist",
        {"messages": {"success": {"message": "{{ zz }} {{ job.password }}"}}},
        {"messages": ["Field 'zz' unavailable", "Field 'password' unavailable"]},
    ),
    (
        "a constant that nobody works out",
        {"messages": {"error": {"body": "{{ '%9999999999d' % 3 }}{{ 9 ** 9 ** 9 }}{{ zz }}"}}},
        {"messages": ["Field 'zz' unavailable"]},
    ),
    (
        "an unknown filter",
        {"messages": {"error": {"message": "{{ job|shout }}"}}},
        {
            "messages": [
                (
                    "Unable to render message '{{ job|shout }}': No filter or test named 'shout'."
                    "\n  line 1"
                )
            ]
        },
    ),
    (
        "templates that take long to read",
        {"messages": {"error": {"body": "{{ job }}" * 3000}}},
        {"messages": ["Messages with more than 20000 characters of templates are not allowed"]},
    ),
    (
        "a line break in a message",
        {"messages": {"error": {"message": "a\nb"}}},
        {"messages": ["Messages cannot contain newlines (found newline in error event)"]},
    ),
    (
        "an approval event",
        {"messages": {"workflow_approval": {"lost": {"message": "x"}}}},
        {
            "messages": [
                (
                    "Workflow Approval event 'lost' invalid, must be one of 'running', 'approved',"
                    " 'timed_out', or 'denied'"
                )
            ]
        },
    ),
]


async def webhook(stack: Stack, name: str, **more: Any) -> dict[str, Any]:
    """Make a webhook template in an organization of its own."""
    organization = await stack.make("organizations", name=f"of {name}")
    return await stack.make(
        "notification_templates",
        **{
            "name": name,
            "organization": organization["id"],
            "notification_type": "webhook",
            "notification_configuration": WEBHOOK,
            **more,
        },
    )


async def test_defaults_are_filled_in_and_passwords_hidden(stack: Stack) -> None:
    """What a type has defaults for need not be sent; a password is never shown."""
    made = await webhook(stack, "hidden")
    assert made["notification_configuration"] == {
        "url": "https://hook.example.com/",
        "headers": {},
        "password": "$encrypted$",
        "http_method": "POST",
        "disable_ssl_verification": False,
        "username": "",
    }
    assert made["messages"] == {
        "started": None,
        "success": None,
        "error": None,
        "workflow_approval": None,
    }
    assert made["summary_fields"]["recent_notifications"] == []


async def test_encrypted_in_a_change_keeps_the_stored_password(stack: Stack) -> None:
    """A configuration read and written back keeps its secrets, and a copy has them too."""
    made = await webhook(stack, "kept")
    config = made["notification_configuration"] | {"url": "https://other.example.com/"}
    changed = await stack.client.patch(made["url"], json={"notification_configuration": config})
    assert changed.status_code == 200
    assert changed.json()["notification_configuration"] == config
    copied = await stack.client.post(made["related"]["copy"], json={"name": "kept twice"})
    assert copied.status_code == 201
    assert copied.json()["notification_configuration"] == config


@pytest.mark.parametrize(("_why", "given", "answer"), REFUSED, ids=[each[0] for each in REFUSED])
async def test_a_bad_template_is_refused_in_awx_words(
    stack: Stack, _why: str, given: dict[str, Any], answer: dict[str, list[str]]
) -> None:
    """What does not fit is a 400 that names it, and nothing is made."""
    organization = (await stack.client.get("/api/v2/organizations/?name=Default")).json()
    body = {
        "name": "refused",
        "organization": organization["results"][0]["id"],
        "notification_type": "webhook",
        "notification_configuration": WEBHOOK,
        **given,
    }
    answered = await stack.client.post("/api/v2/notification_templates/", json=body)
    assert (answered.status_code, answered.json()) == (400, answer)
    found = await stack.client.get("/api/v2/notification_templates/?name=refused")
    assert found.json()["count"] == 0


async def test_attached_for_an_event_and_detached(stack: Stack) -> None:
    """A template hears of an organization's jobs by the list it is attached to, and no other."""
    made = await webhook(stack, "attached")
    lists = f"/api/v2/organizations/{made['organization']}/notification_templates"
    for _ in range(2):
        answered = await stack.client.post(f"{lists}_error/", json={"id": made["id"]})
        assert answered.status_code == 204
    held = {
        event: (await stack.client.get(f"{lists}_{event}/")).json()["count"]
        for event in ("started", "success", "error", "approvals")
    }
    assert held == {"started": 0, "success": 0, "error": 1, "approvals": 0}
    body = {"id": made["id"], "disassociate": True}
    assert (await stack.client.post(f"{lists}_error/", json=body)).status_code == 204
    assert (await stack.client.get(f"{lists}_error/")).json()["count"] == 0


async def test_a_test_message_is_refused_and_none_recorded(stack: Stack) -> None:
    """Nothing is sent yet, so nothing may look as if it had been."""
    made = await webhook(stack, "untested")
    answered = await stack.client.post(made["related"]["test"])
    assert answered.status_code == 400
    assert answered.json() == {"detail": "Playlog does not send notifications yet."}
    assert (await stack.client.get(made["related"]["notifications"])).json()["count"] == 0
    assert (await stack.client.get("/api/v2/notifications/")).json()["results"] == []
    assert (await stack.client.post("/api/v2/notifications/", json={})).status_code == 405

"""Settings over HTTP: reading, changing and resetting them by category, and their effect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controlplane.shell.settings_store import SettingsStore
from ops import pull
from schemas.events.setting import SettingsChanged
from schemas.settings import SETTINGS
from schemas.streams import CONFIG
from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL = "/api/v2/settings/all/"


async def _patch(stack: Stack, slug: str = "all", **values: Any) -> dict[str, Any]:
    """Change settings as the superuser; returns the category's values."""
    answered = await stack.client.patch(f"/api/v2/settings/{slug}/", json=values)
    assert answered.status_code == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def test_categories_are_listed_to_who_may_read_them(stack: Stack) -> None:
    """Superuser and auditor see the categories, a plain user an empty list."""
    await stack.add_user("lister")
    await stack.add_user("auditing", is_system_auditor=True)
    found = (await stack.client.get("/api/v2/settings/")).json()
    slugs = [each["slug"] for each in found["results"]]
    assert slugs == sorted(slugs)
    assert {"all", "changed", "system", "jobs", "named-url"} <= set(slugs)
    assert found["count"] == len(slugs)
    assert found["results"][0] == {"url": ALL, "slug": "all", "name": "All"}
    assert (await stack.as_user("auditing").get("/api/v2/settings/")).json() == found
    assert (await stack.as_user("lister").get("/api/v2/settings/")).json()["results"] == []
    assert (await stack.anonymous().get("/api/v2/settings/")).status_code == 401


async def test_all_shows_every_setting_with_its_default(stack: Stack) -> None:
    """What nobody changed reads as declared; a secret that is not set reads as nothing."""
    found = (await stack.client.get(ALL)).json()
    assert set(found) == set(SETTINGS)
    assert found["AUTOMATION_ANALYTICS_GATHER_INTERVAL"] == 14400
    assert found["SUBSCRIPTIONS_PASSWORD"] == ""
    assert found["NAMED_URL_FORMATS"]["teams"] == "<name>++<organization.name>"
    assert found["NAMED_URL_GRAPH_NODES"]["teams"]["adj_list"] == [
        ["organization", "organizations"]
    ]
    ping = (await stack.anonymous().get("/api/v2/ping/")).json()
    assert found["INSTALL_UUID"] == ping["install_uuid"]


async def test_a_change_is_answered_read_and_reset(stack: Stack) -> None:
    """PATCH answers the category; ``changed`` holds what differs; DELETE gives defaults again."""
    answered = await _patch(stack, "ui", CUSTOM_LOGIN_INFO=" Hello ")
    assert answered["CUSTOM_LOGIN_INFO"] == "Hello"
    assert set(answered) == {name for name, each in SETTINGS.items() if each.slug == "ui"}
    assert (await stack.client.get("/api/v2/settings/ui/")).json() == answered
    assert (await stack.anonymous().get("/api/")).json()["custom_login_info"] == "Hello"
    changed = (await stack.client.get("/api/v2/settings/changed/")).json()
    assert changed["CUSTOM_LOGIN_INFO"] == "Hello"
    gone = await stack.client.delete("/api/v2/settings/ui/")
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await stack.client.get("/api/v2/settings/ui/")).json()["CUSTOM_LOGIN_INFO"] == ""
    assert (await stack.anonymous().get("/api/")).json()["custom_login_info"] == ""


async def test_the_same_value_again_is_no_event(stack: Stack) -> None:
    """Setting what is set stores nothing, nor does a reset of what has its default."""
    first = await stack.client.patch(ALL, json={"SCHEDULE_MAX_JOBS": 11})
    again = await stack.client.patch(ALL, json={"SCHEDULE_MAX_JOBS": "11"})
    assert again.json()["SCHEDULE_MAX_JOBS"] == 11
    assert again.headers["x-playlog-position"] == first.headers["x-playlog-position"]
    await stack.client.delete("/api/v2/settings/jobs/")
    before = (await stack.client.delete("/api/v2/settings/jobs/")).headers["x-playlog-position"]
    after = (await stack.client.delete("/api/v2/settings/jobs/")).headers["x-playlog-position"]
    assert before == after


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("AUTH_BASIC_ENABLED", "maybe", ["Must be a valid boolean."]),
        ("AUTH_BASIC_ENABLED", None, ["This field may not be null."]),
        ("SESSION_COOKIE_AGE", 59, ["Ensure this value is greater than or equal to 60."]),
        ("SESSION_COOKIE_AGE", 10**11, ["Ensure this value is less than or equal to 30000000000."]),
        ("SESSION_COOKIE_AGE", "soon", ["A valid integer is required."]),
        ("SESSION_COOKIE_AGE", [1800], ["A valid integer is required."]),
        ("SESSION_COOKIE_AGE", float(10**40), ["A valid integer is required."]),
        ("MAX_FORKS", 10**25, ["Ensure this value is less than or equal to 9223372036854775807."]),
        ("ALLOW_JINJA_IN_EXTRA_VARS", "ever", ['"ever" is not a valid choice.']),
        ("TOWER_URL_BASE", "example.com", ["Enter a valid URL"]),
        ("TOWER_URL_BASE", "http://[", ["Enter a valid URL"]),
        ("TOWER_URL_BASE", "", ["This field may not be blank."]),
        ("CUSTOM_LOGIN_INFO", {"a": 1}, ["Not a valid string."]),
        ("CUSTOM_LOGIN_INFO", "a\x00b", ["Null characters are not allowed."]),
        ("CUSTOM_LOGO", "data:image/png;base64,A", ["Invalid base64-encoded data in data URL."]),
        ("AD_HOC_COMMANDS", "ping", ['Expected a list of items but got type "str".']),
        ("AD_HOC_COMMANDS", ["ping", {}], {"1": ["Not a valid string."]}),
        ("AWX_TASK_ENV", ["A"], ['Expected a dictionary of items but got type "list".']),
        ("AWX_TASK_ENV", {"A": []}, {"A": ["Not a valid string."]}),
        ("OAUTH2_PROVIDER", {"A": 1}, ["Invalid key names: A"]),
        (
            "OAUTH2_PROVIDER",
            {"ACCESS_TOKEN_EXPIRE_SECONDS": 10**25},
            {"ACCESS_TOKEN_EXPIRE_SECONDS": ["A value is out of range."]},
        ),
        (
            "OAUTH2_PROVIDER",
            {"ACCESS_TOKEN_EXPIRE_SECONDS": "x"},
            {"ACCESS_TOKEN_EXPIRE_SECONDS": ["A valid integer is required."]},
        ),
        ("DEFAULT_EXECUTION_ENVIRONMENT", 987, ['Invalid pk "987" - object does not exist.']),
        (
            "DEFAULT_EXECUTION_ENVIRONMENT",
            "x",
            ["Incorrect type. Expected pk value, received str."],
        ),
    ],
)
async def test_a_bad_value_is_named(stack: Stack, name: str, value: Any, problem: Any) -> None:
    """A value that does not fit is a 400 under the setting's name, and changes nothing."""
    before = (await stack.client.get(ALL)).json()
    sent = json.dumps({name: value, "SCHEDULE_MAX_JOBS": 77})
    answered = await stack.client.patch(
        ALL, content=sent, headers={"Content-Type": "application/json"}
    )
    assert (answered.status_code, answered.json()) == (400, {name: problem})
    assert (await stack.client.get(ALL)).json() == before


async def test_a_bad_time_is_named(stack: Stack) -> None:
    """A time is ISO 8601; one without a zone is in UTC."""
    name = "AUTOMATION_ANALYTICS_LAST_GATHER"
    answered = await stack.client.patch(ALL, json={name: "yesterday"})
    assert answered.status_code == 400
    assert answered.json()[name][0].startswith("Datetime has wrong format.")
    assert (await _patch(stack, **{name: "2026-01-02T03:04:05+01:00"}))[
        name
    ] == "2026-01-02T02:04:05Z"


async def test_unknown_and_read_only_keys_are_ignored(stack: Stack) -> None:
    """As in AWX, they are no error and have no effect; nor has a key of another category."""
    before = (await stack.client.get(ALL)).json()
    body = {"NO_SUCH": 1, "IS_K8S": True, "LICENSE": {"a": 1}, "INSTALL_UUID": "x"}
    assert await _patch(stack, "all", **body) == before
    await _patch(stack, "ui", SCHEDULE_MAX_JOBS=55)
    assert (await stack.client.get(ALL)).json() == before


async def test_put_needs_the_required_settings(stack: Stack) -> None:
    """PUT of a category without what it requires is a 400; with them it is a change."""
    url = "/api/v2/settings/ui/"
    answered = await stack.client.put(url, json={"MAX_UI_JOB_EVENTS": 200})
    assert answered.status_code == 400
    assert answered.json() == {"UI_LIVE_UPDATES_ENABLED": ["This field is required."]}
    body = {"MAX_UI_JOB_EVENTS": 200, "UI_LIVE_UPDATES_ENABLED": False}
    answered = await stack.client.put(url, json=body)
    assert answered.status_code == 200
    assert {name: answered.json()[name] for name in body} == body


async def test_only_superusers_write_and_auditors_read(stack: Stack) -> None:
    """A plain user gets 403 for what exists and 404 for what does not."""
    await stack.add_user("plain-setter")
    await stack.add_user("audit-setter", is_system_auditor=True)
    plain, auditor = stack.as_user("plain-setter"), stack.as_user("audit-setter")
    assert (await auditor.get(ALL)).json() == (await stack.client.get(ALL)).json()
    assert (await plain.get(ALL)).status_code == 403
    assert (await plain.get("/api/v2/settings/user/")).json() == {}
    assert (await stack.anonymous().get(ALL)).status_code == 401
    for client in (plain, auditor):
        assert (await client.patch(ALL, json={"MAX_FORKS": 1})).status_code == 403
        assert (await client.put(ALL, json={})).status_code == 403
        assert (await client.delete(ALL)).status_code == 403
        assert (await client.post("/api/v2/settings/logging/test/", json={})).status_code == 403
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answered = await stack.client.request(method, "/api/v2/settings/nowhere/")
        assert (answered.status_code, answered.json()) == (404, {"detail": "Not found."})
    assert (await stack.client.get(ALL)).json()["MAX_FORKS"] == 200


async def test_a_secret_is_sealed_and_never_shown(stack: Stack) -> None:
    """It reads as stars, written back as stars it stays, and the program can open it."""
    name = "LOG_AGGREGATOR_PASSWORD"
    shown = (await _patch(stack, "logging", **{name: "pass-canary-1"}))[name]
    assert shown == "$encrypted$"
    await _patch(stack, "logging", **{name: "$encrypted$"})
    assert await stack.services.settings_store.secret(name) == "pass-canary-1"
    last = await stack.services.store.last_sequence(CONFIG.name)
    async for messages in pull.read(stack.services.nats, CONFIG.name, 1, last):
        assert not [each.sequence for each in messages if b"pass-canary-1" in each.data]
    assert (await _patch(stack, "logging", **{name: ""}))[name] == ""


async def test_log_shipping_needs_host_and_type_and_says_it_is_not_there(stack: Stack) -> None:
    """AWX's rule on switching it on; the test answers what is true."""
    test = "/api/v2/settings/logging/test/"
    off = await stack.client.post(test, json={})
    assert (off.status_code, off.json()) == (409, {"error": "Logging not enabled"})
    answered = await stack.client.patch(ALL, json={"LOG_AGGREGATOR_ENABLED": True})
    text = "Cannot enable log aggregator without providing {}."
    assert answered.json() == {"__all__": [f"{text.format('host')}\n{text.format('type')}"]}
    host = {"LOG_AGGREGATOR_HOST": "127.0.0.1", "LOG_AGGREGATOR_TYPE": "other"}
    await _patch(stack, "logging", LOG_AGGREGATOR_ENABLED=True, **host)
    on = await stack.client.post(test, json={})
    assert on.status_code == 400
    assert "does not send its logs" in on.json()["error"]
    await stack.client.delete("/api/v2/settings/logging/")


async def test_options_name_what_can_be_written(stack: Stack) -> None:
    """Clients take the keys of ``modify`` from PUT, which read-only settings are not in."""
    actions = (await stack.client.options(ALL)).json()["actions"]
    assert set(actions["GET"]) == set(SETTINGS)
    written = {name for name, each in SETTINGS.items() if not each.read_only}
    assert set(actions["PUT"]) == written
    assert actions["PUT"]["SESSION_COOKIE_AGE"] == {
        "type": "integer",
        "required": True,
        "label": "Idle Time Force Log Out",
        "help_text": SETTINGS["SESSION_COOKIE_AGE"].help,
        "category": "Authentication",
        "category_slug": "authentication",
        "unit": "seconds",
        "min_value": 60,
        "max_value": 30000000000,
        "default": 1800,
        "defined_in_file": False,
        "filterable": False,
        "hidden": False,
    }
    assert actions["PUT"]["AWX_TASK_ENV"]["placeholder"] == {"HTTP_PROXY": "myproxy.local:8080"}
    assert actions["PUT"]["LOG_AGGREGATOR_TYPE"]["choices"][0] == [None, "---------"]
    await stack.add_user("options-auditor", is_system_auditor=True)
    read = (await stack.as_user("options-auditor").options(ALL)).json()["actions"]
    assert set(read) == {"GET"}


async def test_bulk_creation_obeys_its_limit(stack: Stack) -> None:
    """A lower BULK_HOST_MAX_CREATE refuses at once what was allowed before."""
    organization = await stack.make("organizations", name="limited")
    inventory = await stack.make("inventories", name="limited", organization=organization["id"])
    await _patch(stack, "bulk", BULK_HOST_MAX_CREATE=1)
    body = {"inventory": inventory["id"], "hosts": [{"name": "a"}, {"name": "b"}]}
    answered = await stack.client.post("/api/v2/bulk/host_create/", json=body)
    text = "Number of hosts exceeds system setting BULK_HOST_MAX_CREATE: 1"
    assert (answered.status_code, answered.json()) == (400, {"hosts": [text]})
    await stack.client.delete("/api/v2/settings/bulk/")
    answered = await stack.client.post("/api/v2/bulk/host_create/", json=body)
    assert answered.status_code == 201


async def test_another_process_reads_a_change(stack: Stack) -> None:
    """A store that did not write a change reads it as soon as it asks for its position."""
    services = stack.services
    other = SettingsStore(services.pool, services.catch_up, services.vault)
    assert other.integer("SCHEDULE_MAX_JOBS") == 10
    answered = await stack.client.patch(
        ALL, json={"SCHEDULE_MAX_JOBS": 13, "OAUTH2_PROVIDER": {"REFRESH_TOKEN_EXPIRE_SECONDS": 7}}
    )
    await other.freshen(int(answered.headers["x-playlog-position"]))
    assert other.integer("SCHEDULE_MAX_JOBS") == 13
    provider = other.get("OAUTH2_PROVIDER")
    assert provider["REFRESH_TOKEN_EXPIRE_SECONDS"] == 7
    assert provider["AUTHORIZATION_CODE_EXPIRE_SECONDS"] == 600
    with pytest.raises(KeyError):
        other.get("NO_SUCH")


async def test_a_process_knows_its_own_change_before_the_tables_do(stack: Stack) -> None:
    """What was appended holds at once, and an older state of the tables does not undo it."""
    services = stack.services
    store = SettingsStore(services.pool, services.catch_up, services.vault)
    await _patch(stack, SCHEDULE_MAX_JOBS=14)
    await store.freshen()
    ahead = 10**12
    store.learn(SettingsChanged(values={"MAX_FORKS": 5}), ahead)
    await store.freshen(ahead + 1)
    assert (store.integer("MAX_FORKS"), store.integer("SCHEDULE_MAX_JOBS")) == (5, 14)
    store.learn(SettingsChanged(reset=("MAX_FORKS",)), ahead)
    assert store.integer("MAX_FORKS") == 200

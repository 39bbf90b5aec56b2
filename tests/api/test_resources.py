"""Declared resources over HTTP: creating, reading, changing and deleting them as AWX does."""

from __future__ import annotations

import pytest

from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_created_object_is_answered_and_readable_at_once(stack: Stack) -> None:
    """A 201 shows the object as a later GET does, and says where the write stands in the log."""
    answered = await stack.client.post("/api/v2/organizations/", json={"name": "created"})
    assert answered.status_code == 201
    assert int(answered.headers["x-playlog-position"]) > 0
    read = await stack.client.get(answered.json()["url"])
    assert read.json() == answered.json()


async def test_missing_field_is_named(stack: Stack) -> None:
    """A required field that is missing is a 400 under its name."""
    answered = await stack.client.post("/api/v2/organizations/", json={})
    assert answered.status_code == 400
    assert answered.json() == {"name": ["This field is required."]}


async def test_duplicate_name_is_refused_in_awx_words(stack: Stack) -> None:
    """The second organization of a name is a 400 that clients recognise."""
    await stack.make("organizations", name="twice")
    answered = await stack.client.post("/api/v2/organizations/", json={"name": "twice"})
    assert answered.status_code == 400
    assert answered.json() == {"name": ["Organization with this Name already exists."]}


async def test_unknown_reference_is_refused(stack: Stack) -> None:
    """A reference to nothing is a 400 that names the id."""
    body = {"name": "nowhere", "organization": 987654}
    answered = await stack.client.post("/api/v2/inventories/", json=body)
    assert answered.status_code == 400
    assert answered.json() == {"organization": ['Invalid pk "987654" - object does not exist.']}


async def test_patch_changes_only_what_is_sent(stack: Stack) -> None:
    """PATCH keeps the fields it does not name."""
    made = await stack.make("organizations", name="patched", description="before")
    answered = await stack.client.patch(made["url"], json={"description": "after"})
    assert answered.status_code == 200
    assert (answered.json()["name"], answered.json()["description"]) == ("patched", "after")


async def test_put_needs_every_required_field(stack: Stack) -> None:
    """PUT without a required field is a 400, unlike PATCH."""
    made = await stack.make("organizations", name="put")
    answered = await stack.client.put(made["url"], json={"description": "x"})
    assert answered.status_code == 400
    assert answered.json() == {"name": ["This field is required."]}


async def test_deleted_object_is_gone(stack: Stack) -> None:
    """DELETE answers 204 and the object is a JSON 404 from then on."""
    made = await stack.make("organizations", name="deleted")
    assert (await stack.client.delete(made["url"])).status_code == 204
    gone = await stack.client.get(made["url"])
    assert gone.status_code == 404
    assert gone.json() == {"detail": "No Organization matches the given query."}


async def test_inventory_deletion_is_answered_with_202(stack: Stack) -> None:
    """AWX deletes inventories asynchronously, so clients expect 202."""
    organization = await stack.make("organizations", name="inventory-owner")
    made = await stack.make("inventories", name="gone", organization=organization["id"])
    assert (await stack.client.delete(made["url"])).status_code == 202
    assert (await stack.client.get(made["url"])).status_code == 404


async def test_organization_takes_its_children_along(stack: Stack) -> None:
    """Deleting an organization deletes its inventories and their hosts."""
    organization = await stack.make("organizations", name="cascade")
    inventory = await stack.make("inventories", name="inner", organization=organization["id"])
    host = await stack.make("hosts", name="h1", inventory=inventory["id"])
    assert (await stack.client.delete(organization["url"])).status_code == 204
    assert (await stack.client.get(host["url"])).status_code == 404


async def test_password_is_never_shown(stack: Stack) -> None:
    """A user's password reads as $encrypted$, and logs in as it was given."""
    made = await stack.make("users", username="shown", password="hunter22")
    assert made["password"] == "$encrypted$"
    me = await stack.as_user("shown", "hunter22").get("/api/v2/me/")
    assert me.json()["results"][0]["username"] == "shown"


async def test_user_without_password_is_refused(stack: Stack) -> None:
    """A new user needs a password."""
    answered = await stack.client.post("/api/v2/users/", json={"username": "nopass"})
    assert answered.status_code == 400
    assert answered.json() == {"password": ["Password required for new User."]}


async def test_hosts_join_and_leave_groups(stack: Stack) -> None:
    """Attaching is 204 and idempotent; a body without id creates and attaches."""
    organization = await stack.make("organizations", name="grouping")
    inventory = await stack.make("inventories", name="grouped", organization=organization["id"])
    host = await stack.make("hosts", name="h1", inventory=inventory["id"])
    group = await stack.make("groups", name="g1", inventory=inventory["id"])
    hosts = f"{group['url']}hosts/"
    for _ in range(2):
        assert (await stack.client.post(hosts, json={"id": host["id"]})).status_code == 204
    made = await stack.client.post(hosts, json={"name": "h2"})
    assert (made.status_code, made.json()["inventory"]) == (201, inventory["id"])
    names = [row["name"] for row in (await stack.client.get(hosts)).json()["results"]]
    assert names == ["h1", "h2"]
    leaving = {"id": host["id"], "disassociate": True}
    assert (await stack.client.post(hosts, json=leaving)).status_code == 204
    assert (await stack.client.get(hosts)).json()["count"] == 1


async def test_group_cycle_is_refused(stack: Stack) -> None:
    """A group cannot become its own descendant."""
    organization = await stack.make("organizations", name="cycle")
    inventory = await stack.make("inventories", name="cycle", organization=organization["id"])
    above = await stack.make("groups", name="above", inventory=inventory["id"])
    below = await stack.make("groups", name="below", inventory=inventory["id"])
    children = f"{above['url']}children/"
    assert (await stack.client.post(children, json={"id": below["id"]})).status_code == 204
    answered = await stack.client.post(f"{below['url']}children/", json={"id": above["id"]})
    assert (answered.status_code, answered.json()) == (
        400,
        {"error": "Cyclical Group association."},
    )


async def test_attaching_what_does_not_exist_is_refused(stack: Stack) -> None:
    """An id of nothing in a sub-list is a 400 in AWX's words."""
    made = await stack.make("organizations", name="attach")
    users = f"{made['url']}users/"
    answered = await stack.client.post(users, json={"id": 424242})
    assert answered.json() == {"detail": "User matching query does not exist."}
    answered = await stack.client.post(users, json={"id": "x"})
    assert answered.json() == {"msg": '"id" field must be an integer.'}
    answered = await stack.client.post(users, json={"disassociate": True})
    assert answered.json() == {"msg": '"id" is required to disassociate'}


async def test_script_is_ansible_inventory(stack: Stack) -> None:
    """script/ gives groups, children and host variables as Ansible reads them."""
    organization = await stack.make("organizations", name="script")
    inventory = await stack.make(
        "inventories", name="script", organization=organization["id"], variables="region: eu"
    )
    group = await stack.make("groups", name="web", inventory=inventory["id"], variables="{}")
    await stack.client.post(f"{group['url']}hosts/", json={"name": "w1", "variables": "port: 80"})
    found = await stack.client.get(f"{inventory['url']}script/?hostvars=1")
    assert found.json() == {
        "all": {"hosts": [], "children": ["web"], "vars": {"region": "eu"}},
        "web": {"hosts": ["w1"]},
        "_meta": {"hostvars": {"w1": {"port": 80}}},
    }


async def test_variable_data_replaces_all_variables(stack: Stack) -> None:
    """PATCH of variable_data replaces the whole object, as AWX does."""
    organization = await stack.make("organizations", name="variables")
    inventory = await stack.make(
        "inventories", name="vars", organization=organization["id"], variables='{"a": 1}'
    )
    path = f"{inventory['url']}variable_data/"
    assert (await stack.client.patch(path, json={"b": 2})).json() == {"b": 2}
    assert (await stack.client.get(path)).json() == {"b": 2}


async def test_bulk_host_create_is_all_or_nothing(stack: Stack) -> None:
    """One bad name refuses all hosts; good ones come back with their ids."""
    organization = await stack.make("organizations", name="bulk")
    inventory = await stack.make("inventories", name="bulk", organization=organization["id"])
    path = "/api/v2/bulk/host_create/"
    hosts = [{"name": f"h{number}"} for number in range(50)]
    twice = {"inventory": inventory["id"], "hosts": [*hosts, {"name": "h1"}]}
    assert (await stack.client.post(path, json=twice)).status_code == 400
    assert (await stack.client.get(f"{inventory['url']}hosts/")).json()["count"] == 0
    made = await stack.client.post(path, json={"inventory": inventory["id"], "hosts": hosts})
    assert made.status_code == 201, made.text
    assert [each["name"] for each in made.json()["hosts"]] == [each["name"] for each in hosts]
    assert (await stack.client.get(f"{inventory['url']}hosts/")).json()["count"] == 50
    gone = [each["id"] for each in made.json()["hosts"][:2]]
    answered = await stack.client.post("/api/v2/bulk/host_delete/", json={"hosts": gone})
    assert answered.status_code == 201
    for large in (10**30, -(10**30)):
        refused = await stack.client.post(path, json={"inventory": large, "hosts": hosts})
        text = f'Invalid pk "{large}" - object does not exist.'
        assert (refused.status_code, refused.json()) == (400, {"inventory": [text]})
        answered = await stack.client.post("/api/v2/bulk/host_delete/", json={"hosts": [large]})
        assert answered.status_code == 400
    assert (await stack.client.get(f"{inventory['url']}hosts/")).json()["count"] == 48


async def test_copy_makes_a_second_object(stack: Stack) -> None:
    """copy/ creates an object with the same settings under the new name."""
    organization = await stack.make("organizations", name="copying")
    project = await stack.make(
        "projects",
        name="original",
        organization=organization["id"],
        scm_type="git",
        scm_url="https://example.com/x.git",
    )
    path = project["related"]["copy"]
    assert (await stack.client.get(path)).json() == {"can_copy": True}
    made = await stack.client.post(path, json={"name": "second"})
    assert made.status_code == 201, made.text
    assert made.json()["scm_url"] == project["scm_url"]


async def test_copied_inventory_takes_hosts_and_groups_along(stack: Stack) -> None:
    """The copy has hosts and groups of its own, grouped as the original's."""
    organization = await stack.make("organizations", name="deep-copy")
    inventory = await stack.make("inventories", name="deep", organization=organization["id"])
    above = await stack.make("groups", name="above", inventory=inventory["id"])
    await stack.client.post(f"{above['url']}children/", json={"name": "below"})
    await stack.client.post(f"{above['url']}hosts/", json={"name": "h1", "variables": "a: 1"})
    made = await stack.client.post(inventory["related"]["copy"], json={"name": "deeper"})
    assert made.status_code == 201, made.text
    script = "script/?hostvars=1"
    original = (await stack.client.get(f"{inventory['url']}{script}")).json()
    assert (await stack.client.get(f"{made.json()['url']}{script}")).json() == original
    assert original["above"] == {"hosts": ["h1"], "children": ["below"]}


async def test_copied_credential_keeps_its_secret(stack: Stack) -> None:
    """The copy's secret opens to the original's; neither is ever shown."""
    organization = await stack.make("organizations", name="secret-copy")
    found = await stack.client.get("/api/v2/credential_types/?name=Machine")
    original = await stack.make(
        "credentials",
        name="original",
        organization=organization["id"],
        credential_type=found.json()["results"][0]["id"],
        inputs={"username": "deploy", "password": "hush-hush"},
    )
    assert original["inputs"] == {"username": "deploy", "password": "$encrypted$"}
    made = await stack.client.post(original["related"]["copy"], json={"name": "copied"})
    assert made.json()["inputs"] == original["inputs"]
    async with stack.services.read.view() as view:
        sql = 'select "inputs" ->> \'password\' from "credential" where "id" = $1'
        sealed = await view.value(sql, made.json()["id"])
    assert "hush-hush" not in sealed
    opened = await stack.services.vault.open("credential", made.json()["id"], sealed)
    assert opened == "hush-hush"


async def test_copied_template_keeps_what_is_attached(stack: Stack) -> None:
    """Labels and credentials of a template are attached to its copy."""
    organization = await stack.make("organizations", name="template-copy")
    number = organization["id"]
    inventory = await stack.make("inventories", name="for-copy", organization=number)
    project = await stack.make(
        "projects", name="for-copy", organization=number, scm_type="git", scm_url="https://e.x/x"
    )
    template = await stack.make(
        "job_templates",
        name="labelled",
        project=project["id"],
        inventory=inventory["id"],
        playbook="site.yml",
    )
    label = {"name": "l1", "organization": number}
    assert (await stack.client.post(f"{template['url']}labels/", json=label)).status_code == 201
    made = await stack.client.post(template["related"]["copy"], json={"name": "labelled too"})
    assert made.status_code == 201, made.text
    assert made.json()["summary_fields"]["labels"]["count"] == 1
    assert made.json()["organization"] == number


async def test_a_new_scm_project_shows_its_update(stack: Stack) -> None:
    """The answer to a POST, and to a change of the source, names the update it started."""
    organization = await stack.make("organizations", name="sources")
    body = {"organization": organization["id"], "scm_type": "git", "scm_url": "https://e.com/a.git"}
    made = await stack.make("projects", name="shown", **body)
    first = made["summary_fields"]["current_update"]
    assert (made["status"], first["status"]) == ("pending", "pending")
    assert made["related"]["current_update"] == f"/api/v2/project_updates/{first['id']}/"
    renamed = (await stack.client.patch(made["url"], json={"name": "shown too"})).json()
    assert renamed["summary_fields"]["current_update"]["id"] == first["id"]
    moved = await stack.client.patch(made["url"], json={"scm_url": "https://e.com/b.git"})
    assert moved.json()["summary_fields"]["current_update"]["id"] != first["id"]
    manual = await stack.make("projects", name="by hand", organization=organization["id"])
    assert "current_update" not in manual["related"]


async def test_a_credential_keeps_its_owner(stack: Stack) -> None:
    """``user`` and ``team`` are read when a credential is made, and ignored afterwards."""
    organization = await stack.make("organizations", name="owning")
    made = await stack.make(
        "credentials", name="c", organization=organization["id"], credential_type=1, inputs={}
    )
    changed = await stack.client.patch(made["url"], json={"user": 1, "description": "d"})
    assert changed.status_code == 200, changed.text
    owners = [owner["type"] for owner in changed.json()["summary_fields"]["owners"]]
    assert owners == ["organization"]


async def test_an_environment_lists_the_templates_that_run_in_it(stack: Stack) -> None:
    """A template is listed below the execution environment it names, and below no other."""
    environment = await stack.make("execution_environments", name="used", image="used:1")
    organization = await stack.make("organizations", name="of the used")
    inventory = await stack.make("inventories", name="used", organization=organization["id"])
    project = await stack.make("projects", name="used", organization=organization["id"])
    template = await stack.make(
        "job_templates",
        name="user of the used",
        project=project["id"],
        inventory=inventory["id"],
        playbook="site.yml",
        execution_environment=environment["id"],
    )
    listed = (await stack.client.get(environment["related"]["unified_job_templates"])).json()
    assert [each["url"] for each in listed["results"]] == [template["url"]]
    other = await stack.make("execution_environments", name="unused", image="used:2")
    listed = (await stack.client.get(other["related"]["unified_job_templates"])).json()
    assert listed["count"] == 0


async def test_the_bare_address_leads_to_the_api(stack: Stack) -> None:
    """Whoever opens the address of the server comes to its root document."""
    answered = await stack.anonymous().get("/")
    assert (answered.status_code, answered.headers["location"]) == (302, "/api/")

"""Where a failed run may go on, and everything that forbids it."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.domain.resume import Failure, Ran, Resumption, Run, resumption

SITE = """- name: first play
  hosts: all
  tasks:
    - name: install
      package: {name: web}
    - name: configure
      copy: {content: x, dest: /etc/x}
    - name: start
      service: {name: web}
"""
CONFIGURE, START = 6, 8


def failed(line: int, host: str = "one", file: str = "site.yml", **fields: Any) -> Failure:
    """A host that ended at a line."""
    place = f"/data/jobs/7-1/project/{file}:{line}"
    return Failure(**{"host": host, "task": "t", "action": "copy", "place": place, **fields})


def resumed(files: dict[str, str] | str, *failures: Failure, **fields: Any) -> Resumption:
    """Ask about a run on two hosts of which those of ``failures`` failed."""
    told = {"site.yml": files} if isinstance(files, str) else files
    values: dict[str, Any] = {
        "playbook": "site.yml",
        "status": "failed",
        "limit": "",
        "hosts": frozenset({"one", "two"}),
        "failures": failures,
        "plays_started": 1,
    }
    return resumption(Run(**{**values, **fields}), told)


def reason(found: Resumption) -> str:
    """Return the one reason of a refusal."""
    assert len(found.reasons) == 1, found.reasons
    assert (found.start_at_task, found.limit) == ("", "")
    return found.reasons[0]


def before(task: str, later: str = "    - name: end\n      ping:\n") -> tuple[str, int]:
    """Return a playbook with a task before the one that fails, and the line of that."""
    text = f"- hosts: all\n  tasks:\n{task}    - name: broken\n      fail:\n{later}"
    return text, text.splitlines().index("    - name: broken") + 1


def test_a_run_goes_on_at_its_failed_task_on_the_failed_hosts() -> None:
    """The task's name, and the hosts that failed of those that ran."""
    found = resumed(SITE, failed(CONFIGURE, task="configure"))
    assert found.reasons == ()
    assert (found.start_at_task, found.limit) == ("configure", "one")
    assert found.failed_at == {"one": "configure"}


def test_where_all_hosts_failed_the_limit_stays() -> None:
    """Hosts of plays that never started are among them."""
    both = failed(CONFIGURE), failed(START, "two")
    found = resumed(SITE, *both, limit="web:!db")
    assert (found.start_at_task, found.limit) == ("configure", "web:!db")


def test_the_earliest_task_counts() -> None:
    """A host that came further runs again what it has run well."""
    both = failed(START, "two"), failed(CONFIGURE)
    found = resumed(SITE, *both, hosts=frozenset({"one", "two", "three"}))
    assert (found.start_at_task, found.limit) == ("configure", "one,two")


def test_the_first_task_is_the_beginning() -> None:
    """Nothing is skipped, so nothing is to be named; gathering facts is the beginning too."""
    assert resumed(SITE, failed(4)) == resumed(SITE, failed(4), plays_started=1)
    assert (resumed(SITE, failed(4)).start_at_task, resumed(SITE, failed(4)).reasons) == ("", ())
    gathering = failed(1, action="gather_facts", task="Gathering Facts")
    assert (resumed(SITE, gathering).start_at_task, resumed(SITE, gathering).limit) == ("", "one")


def test_gathering_facts_of_a_later_play_starts_that_play() -> None:
    """Ansible gathers facts in the play that it starts in."""
    two = f"{SITE}- hosts: web\n  tasks:\n    - name: more\n      ping:\n"
    found = resumed(two, failed(10, action="setup"), plays_started=2)
    assert (found.reasons, found.start_at_task) == ((), "more")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"status": "successful"}, "successful"),
        ({"status": "canceled"}, "canceled"),
    ],
)
def test_a_run_that_cannot_be_resumed_says_so(fields: dict[str, Any], word: str) -> None:
    """Only what failed goes on."""
    assert word in reason(resumed(SITE, failed(CONFIGURE), **fields))


def test_a_run_without_failed_hosts_has_no_place_to_start_at() -> None:
    """Such as one whose inventory could not be read."""
    assert "no task to start at" in reason(resumed(SITE))


def ran(line: int, counter: int, *, changed: bool = True, host: str = "one") -> Ran:
    """A task's result on a host that failed later."""
    place = f"/data/project/jobs/7-1/project/site.yml:{line}"
    return Ran(host=host, place=place, counter=counter, changed=changed)


HANDLERS = """- hosts: all
  tasks:
    - command: x
      notify: [restart, "web : reload"]
    - name: broken
      fail:
  handlers:
    - name: again
      listen: [restart, other]
      ping:
    - name: "web : reload"
      ping:
"""


@pytest.mark.parametrize(
    ("results", "missing"),
    [
        ((ran(3, 5),), "restart"),
        ((ran(3, 5), ran(8, 6)), "web : reload"),
        ((ran(3, 5), ran(8, 4), ran(11, 6)), "restart"),
        ((ran(3, 5), ran(8, 6), ran(11, 7)), None),
        ((ran(3, 5, changed=False),), None),
        ((), None),
    ],
)
def test_a_handler_that_was_notified_and_has_not_run_forbids_it(
    results: tuple[Ran, ...], missing: str | None
) -> None:
    """By name or by what it listens to; what ran since, or was never notified, forbids nothing."""
    found = resumed(HANDLERS, failed(5), ran=results)
    if missing is None:
        assert (found.reasons, found.start_at_task) == ((), "broken")
    else:
        text = f"The handler {missing!r} was notified on one and has not run."
        assert reason(found) == text


def test_a_handler_that_nobody_knows_counts_as_missing() -> None:
    """Its name may be a template, or it stands in a role from elsewhere."""
    text = HANDLERS.replace('[restart, "web : reload"]', "'{{ name }}'")
    assert "handler '{{ name }}'" in reason(resumed(text, failed(5), ran=(ran(3, 5),)))


@pytest.mark.parametrize(
    "use",
    [
        "    - name: end\n      debug: {var: found.stdout}\n",
        "    - name: end\n      ping:\n      when: found is changed\n",
        "    - name: end\n      ping:\n      register: found\n      when: found is changed\n",
        "    - block:\n        - name: deep\n          debug: {msg: '{{ found }}'}\n",
        "  handlers:\n    - name: h\n      debug: {msg: '{{ found }}'}\n",
        "  vars:\n    other: '{{ found }}'\n",
        "- hosts: all\n  tasks:\n    - name: next\n      debug: {var: found}\n",
    ],
)
def test_a_registered_variable_that_is_needed_later_forbids_it(use: str) -> None:
    """In a task, its condition, a block, a handler, the play's variables, a later play."""
    text, line = before("    - name: look\n      command: x\n      register: found\n", use)
    plays = text.count("- hosts")
    found = reason(resumed(text, failed(line), plays_started=plays))
    assert found.startswith("The variable 'found', set at site.yml:3, is used at site.yml:")


@pytest.mark.parametrize(
    "use",
    [
        "    - name: end\n      debug: {var: foundling}\n",
        "    - name: end\n      command: x\n      register: found\n      until: found is success\n",
        (
            "    - name: anew\n      command: x\n      register: found\n"
            "    - name: end\n      debug: {var: found}\n"
        ),
    ],
)
def test_a_variable_that_is_not_needed_any_more_forbids_nothing(use: str) -> None:
    """Another name, a task's own result, or one that is registered anew before it is used."""
    text, line = before("    - name: look\n      command: x\n      register: found\n", use)
    assert resumed(text, failed(line)).start_at_task == "broken"


@pytest.mark.parametrize(
    ("task", "word"),
    [
        ("    - set_fact: {found: 1}\n", "variable 'found'"),
        ("    - set_fact: found=1 cacheable=yes\n", "variable 'found'"),
        ("    - ansible.builtin.set_fact: {found: 1}\n", "variable 'found'"),
        ("    - action: set_fact found=1\n", "variable 'found'"),
        ("    - set_fact: {'{{ name }}': 1}\n", "name is not known"),
        ("    - set_fact: '{{ all }}'\n", "name is not known"),
        ("    - include_vars: x.yml\n", "loads variables"),
        ("    - add_host: {name: new}\n", "adds hosts"),
        ("    - group_by: {key: os}\n", "makes groups"),
        ("    - include_tasks: x.yml\n", "include_tasks at site.yml:3 comes before"),
        ("    - include_role: {name: x}\n", "include_role at site.yml:3"),
        ("    - import_tasks: '{{ os }}.yml'\n", "import_tasks at site.yml:3"),
        ("    - import_role: {name: elsewhere}\n", "role 'elsewhere'"),
        ("    - <<: {ping: }\n", "made of another"),
    ],
)
def test_whatever_leaves_something_behind_forbids_it(task: str, word: str) -> None:
    """Facts, variables, hosts and groups made on the way, and tasks that nobody knows."""
    text, line = before(task, "    - name: end\n      debug: {var: found}\n")
    assert any(word in each for each in resumed(text, failed(line)).reasons)


def test_files_that_later_tasks_read_are_searched() -> None:
    """A template that names the variable is enough; another playbook that does is not."""
    text, line = before("    - name: look\n      command: x\n      register: found\n")
    harmless = {"site.yml": text, "other.yml": "- debug: {var: found}"}
    assert resumed(harmless, failed(line)).start_at_task == "broken"
    for path in ("templates/a.conf", "roles/r/templates/b.j2", "group_vars/all.yml", "x.j2"):
        found = reason(resumed({"site.yml": text, path: "{{ found }}"}, failed(line)))
        assert path in found


def test_what_is_included_later_may_use_what_was_set() -> None:
    """Without a variable before, an include after the start is harmless."""
    include = "    - include_tasks: more.yml\n"
    text, line = before("    - name: look\n      command: x\n      register: found\n", include)
    files = {"site.yml": text, "more.yml": "- ping:\n"}
    assert "may use 'found'" in reason(resumed(files, failed(line)))
    text, line = before("    - name: look\n      command: x\n", include)
    assert resumed({**files, "site.yml": text}, failed(line)).start_at_task == "broken"


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("- hosts: all\n  tasks:\n    - ping:\n    - fail:\n", 4, "has no name"),
        ("- hosts: a\n  tasks:\n  - ping:\n  - name: a {{ b }}\n    fail:\n", 4, "is a template"),
        (
            "- hosts: a\n  tasks:\n  - name: x\n    ping:\n  - name: x\n    fail:\n",
            5,
            "named 'x' as well",
        ),
        (
            "- hosts: a\n  tasks:\n  - name: web1\n    ping:\n  - name: web*\n    fail:\n",
            5,
            "named 'web1' as well",
        ),
        (
            "- hosts: a\n  tasks:\n  - ping:\n  - block: [{fail: }]\n    rescue: [ping: ]\n",
            4,
            "rescue or always",
        ),
        (
            "- hosts: a\n  tasks:\n  - ping:\n  - block: [ping: ]\n    always: [{fail: }]\n",
            5,
            "rescue or always",
        ),
        ("- hosts: a\n  tasks: [ping: ]\n  handlers:\n  - name: x\n    fail:\n", 4, "is a handler"),
        ("- hosts: a\n  tasks: [ping: ]\n", 77, "included while the play runs"),
    ],
)
def test_a_task_that_cannot_be_started_at_forbids_it(text: str, line: int, word: str) -> None:
    """No name, a template, a name used before, inside a rescued block, a handler, an include."""
    assert word in reason(resumed(text, failed(line)))


@pytest.mark.parametrize("keyword", ["any_errors_fatal: true", "serial: 1", "strategy: free"])
def test_a_play_that_stops_for_others_forbids_a_limit(keyword: str) -> None:
    """Hosts that did not fail may not have finished; where all failed nobody is left out."""
    text = SITE.replace("  tasks:", f"  {keyword}\n  tasks:")
    word = keyword.partition(":")[0]
    assert f"sets {word}" in reason(resumed(text, failed(CONFIGURE + 1)))
    both = failed(CONFIGURE + 1), failed(CONFIGURE + 1, "two")
    assert resumed(text, *both).start_at_task == "configure"


def test_a_play_that_never_started_forbids_a_limit() -> None:
    """Its hosts would be left out."""
    two = f"{SITE}- name: second\n  hosts: web\n  tasks: []\n"
    assert "'second' never started" in reason(resumed(two, failed(CONFIGURE)))
    assert resumed(two, failed(CONFIGURE), plays_started=2).start_at_task == "configure"


def test_facts_gathered_before_are_missing_where_none_are_gathered_again() -> None:
    """Unless the fact cache keeps them."""
    second = (
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: use\n"
        "      debug: {msg: '{{ ansible_distribution }}'}\n"
    )
    line = len(SITE.splitlines()) + 4
    found = resumed(SITE + second, failed(line), plays_started=2)
    assert "facts gathered before" in reason(found).lower()
    kept = resumed(SITE + second, failed(line), plays_started=2, fact_cache=True)
    assert kept.start_at_task == "use"


def test_variables_of_other_hosts_are_missing_under_a_limit() -> None:
    """Where all hosts go on they are there again, as far as they are gathered."""
    text = SITE.replace("service: {name: web}", "debug: {msg: '{{ hostvars.two.x }}'}")
    assert "outside the limit" in reason(resumed(text, failed(CONFIGURE)))
    assert resumed(text, failed(CONFIGURE), failed(CONFIGURE, "two")).reasons == ()


ROLE = {
    "site.yml": "- hosts: all\n  roles:\n    - base\n    - role: web\n",
    "roles/base/tasks/main.yml": "- name: look\n  command: x\n  register: found\n",
    "roles/web/tasks/main.yml": "- import_tasks: inner.yml\n",
    "roles/web/tasks/inner.yml": "- name: go\n  fail:\n",
}


def test_tasks_of_roles_are_named_with_their_role() -> None:
    """Imported files within roles count to them."""
    at = failed(1, file="roles/web/tasks/inner.yml")
    assert resumed(ROLE, at).start_at_task == "web : go"
    used = {**ROLE, "roles/web/defaults/main.yml": "x: '{{ found }}'"}
    assert "roles/web/defaults/main.yml" in reason(resumed(used, at))
    twice = {**ROLE, "site.yml": "- hosts: all\n  roles: [base, web, web]\n"}
    assert "imported more than once" in reason(resumed(twice, at))
    outside = {**ROLE, "site.yml": "- hosts: all\n  roles: [other.collection.role, web]\n"}
    assert "'other.collection.role' comes before" in reason(resumed(outside, at))


def test_dependencies_of_roles_and_imported_playbooks_are_followed() -> None:
    """What they register is known as well."""
    files = {
        **ROLE,
        "site.yml": "- import_playbook: sub/web.yml\n",
        "sub/web.yml": "- hosts: all\n  roles: [web]\n",
        "roles/web/meta/main.yml": "dependencies: [base]\n",
        "roles/web/tasks/inner.yml": "- name: go\n  fail: {msg: '{{ found }}'}\n",
    }
    at = failed(1, file="roles/web/tasks/inner.yml")
    assert "The variable 'found', set at roles/base/tasks/main.yml:1" in reason(resumed(files, at))


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({}, "site.yml is not in the project"),
        ({"site.yml": "a: 1"}, "is no list"),
        ({"site.yml": "- text"}, "neither a play nor a task"),
        ({"site.yml": "- hosts: ["}, "cannot be read"),
        ({"site.yml": "- import_playbook: site.yml"}, "too deeply"),
        ({"site.yml": "- import_playbook: '{{ x }}'"}, "is not in the project"),
        ({"site.yml": "- hosts: a\n  tasks: [text]"}, "a task that is none"),
        ({"site.yml": "- hosts: a\n  tasks: &x\n  - block: *x"}, "holds too much"),
        ({"site.yml": "[" * 500 + "]" * 500}, "holds too much"),
        (
            {
                "site.yml": "- a: &a [x,x,x,x,x,x,x,x,x]\n"
                + "".join(
                    f"  {c}: &{c} [{', '.join([f'*{p}'] * 9)}]\n"
                    for p, c in zip("abcdefgh", "bcdefghi", strict=True)
                )
            },
            "holds too much",
        ),
        (
            {
                "site.yml": "- hosts: a\n  tasks: [import_tasks: t.yml]",
                "t.yml": "- import_tasks: t.yml",
            },
            "nested too deeply",
        ),
    ],
)
def test_what_cannot_be_read_forbids_it(files: dict[str, str], word: str) -> None:
    """Nothing is guessed, and nothing takes for ever."""
    assert word in reason(resumed(files, failed(1)))

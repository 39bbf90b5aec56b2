"""What lists of unified jobs, events and host summaries can be filtered and ordered by."""

from __future__ import annotations

from controlplane.api.tables import (
    UNSEARCHED,
    Column,
    Relation,
    Table,
    backward,
    column,
    forward,
    register,
    table_of,
)

_JOB_COLUMNS = (
    *(("id", "int"), ("name", "str"), ("description", "str"), ("status", "str")),
    *(("failed", "bool"), ("launch_type", "str"), ("created", "time"), ("modified", "time")),
    *(("started", "time"), ("finished", "time"), ("canceled_on", "time")),
    *(("job_explanation", "str"), ("execution_node", "str"), ("playbook", "str")),
    *(("scm_type", "str"), ("scm_url", "str"), ("scm_branch", "str"), ("scm_refspec", "str")),
    *(("scm_clean", "bool"), ("scm_track_submodules", "bool"), ("scm_revision", "str")),
    *(("scm_delete_on_update", "bool"), ("job_type", "str"), ("forks", "int")),
    *(("verbosity", "int"), ("extra_vars", "str"), ("job_tags", "str"), ("skip_tags", "str")),
    *(("start_at_task", "str"), ("timeout", "int"), ("use_fact_cache", "bool")),
    *(("diff_mode", "bool"), ("allow_simultaneous", "bool"), ("force_handlers", "bool")),
    *(("job_slice_number", "int"), ("job_slice_count", "int"), ("result_traceback", "str")),
    *(("cancel_flag", "bool"), ("is_sliced_job", "bool"), ("become_enabled", "bool")),
    *(("module_name", "str"), ("module_args", "str"), ("source", "str"), ("source_path", "str")),
    *(("source_vars", "str"), ("enabled_var", "str"), ("enabled_value", "str")),
    *(("host_filter", "str"), ("overwrite", "bool"), ("overwrite_vars", "bool")),
    *(("webhook_service", "str"), ("webhook_guid", "str")),
)
_REFERENCES = (
    ("organization", "organization", "organization_id"),
    ("unified_job_template", "unified_job_template", "unified_job_template_id"),
    ("job_template", "job_template", "job_template_id"),
    ("project", "project", "project_id"),
    ("inventory", "inventory", "inventory_id"),
    ("execution_environment", "execution_environment", "execution_environment_id"),
    ("credential", "credential", "credential_id"),
    ("webhook_credential", "credential", "webhook_credential_id"),
    ("instance_group", "instance_group", "instance_group_id"),
    ("created_by", "user", "created_by"),
    ("updated_project", "project", "updated_project_id"),
    ("changed_inventory", "inventory", "changed_inventory_id"),
    ("source_project_update", "project_update", "source_project_update_id"),
    *(
        (name, name, f"{name}_id")
        for name in (
            "system_job_template",
            "workflow_job_template",
            "workflow_approval_template",
            "schedule",
        )
    ),
)
_RELATED = frozenset(name for name, _, _ in _REFERENCES)
_COMPUTED = (
    ("limit", "str", '{t}."limit_"'),
    ("type", "str", '{t}."kind"'),
    ("controller_node", "str", "''::text"),
    (
        "work_unit_id",
        "str",
        """case when {t}."attempt" > 0 then {t}."id" || '-' || {t}."attempt" end""",
    ),
    (
        "elapsed",
        "float",
        'coalesce(extract(epoch from coalesce({t}."finished", now()) - {t}."started"), 0)::float8',
    ),
    (
        "artifacts",
        "json",
        (
            '(select r."artifacts"::text from "job_result" r'
            ' where r."job" = {t}."id" and r."attempt" = {t}."attempt")'
        ),
    ),
    ("local_path", "str", """'_' || {t}."project_id" || '__project'"""),
)
"""Values of jobs that are not columns of their table."""
_OF_TYPE = (
    ("job", "job", '{far}."id" = {near}."id"', False),
    ("project_update", "project_update", '{far}."id" = {near}."id"', False),
    ("credentials", "credential", '{far}."id" = any({near}."credentials")', True),
    ("labels", "label", '{far}."id" = any({near}."labels")', True),
    ("job_host_summaries", "job_host_summary", '{far}."job" = {near}."id"', True),
    (
        "hosts",
        "host",
        '{far}."id" in (select s."host" from "job_host_summary" s where s."job" = {near}."id")',
        True,
    ),
)
"""Relations of jobs: name, table, condition, whether there are many."""
_HELD = (
    ("job_template", "jobs", "job", "job_template_id"),
    ("project", "jobs", "job", "project_id"),
    ("project", "project_updates", "project_update", "project_id"),
    ("inventory", "jobs", "job", "inventory_id"),
    ("inventory", "inventory_updates", "inventory_update", "inventory_id"),
    ("inventory", "ad_hoc_commands", "ad_hoc_command", "inventory_id"),
    ("inventory_source", "inventory_updates", "inventory_update", "unified_job_template_id"),
    ("host", "ad_hoc_command_events", "ad_hoc_command_event", "host"),
    ("organization", "unifiedjobs", "unified_job", "organization_id"),
    ("execution_environment", "unifiedjobs", "unified_job", "execution_environment_id"),
    ("host", "job_host_summaries", "job_host_summary", "host"),
    ("host", "constructed_host_summaries", "job_host_summary", "constructed_host"),
)
"""Relations of declared kinds to jobs: kind, name, table, the column that points back."""
_OWN_TEMPLATE = ", ".join(
    f'case when j."kind" = \'{kind}\' then j."unified_job_template_id" end as "{kind}_template_id"'
    for kind in ("system_job", "workflow_approval")
)
_SOURCE = "".join(
    (
        '(select j.*, (select g."id" from "instance_group" g where g."name" = j."instance_group")',
        ' as "instance_group_id", j."kind" as "type", case when',
        ' j."kind" = \'project_update\' then j."project_id" end as "updated_project_id",',
        " case when j.\"kind\" in ('inventory_update', 'ad_hoc_command')",
        ' then j."inventory_id" end as "changed_inventory_id",',
        f' {_OWN_TEMPLATE}, null::bigint as "schedule_id" from "unified_job" j{{where}})',
    )
)
_NODE_COLUMNS = (
    *(("id", "int"), ("created", "time"), ("modified", "time"), ("identifier", "str")),
    *(("job_type", "str"), ("job_tags", "str"), ("skip_tags", "str"), ("limit", "str")),
    *(("scm_branch", "str"), ("diff_mode", "bool"), ("verbosity", "int"), ("forks", "int")),
    *(("job_slice_count", "int"), ("timeout", "int"), ("extra_data", "str")),
    *(("all_parents_must_converge", "bool"), ("do_not_run", "bool")),
)
_NODE_REFERENCES = (
    *(("job", "unified_job"), ("workflow_job", "workflow_job"), ("inventory", "inventory")),
    ("unified_job_template", "unified_job_template"),
    ("execution_environment", "execution_environment"),
)
_SQL_TYPES = {"int": "bigint", "str": "text", "bool": "boolean", "time": "timestamptz"}
_EVENT_COLUMNS = (
    *(("id", "int"), ("counter", "int"), ("uuid", "str"), ("parent_uuid", "str")),
    *(("event", "str"), ("created", "str"), ("stdout", "str"), ("start_line", "int")),
    *(("end_line", "int"), ("verbosity", "int"), ("failed", "bool"), ("changed", "bool")),
    *(("host_name", "str"), ("play", "str"), ("task", "str"), ("role", "str")),
    *(("playbook", "str"), ("event_data", "str")),
)
_OF_PLAYBOOKS = frozenset({"parent_uuid", "play", "task", "role", "playbook"})
_AD_HOC_COLUMNS = tuple(pair for pair in _EVENT_COLUMNS if pair[0] not in _OF_PLAYBOOKS)
_SUMMARY_COLUMNS = (
    *(("id", "int"), ("host_name", "str"), ("changed", "int"), ("dark", "int")),
    *(("failures", "int"), ("ok", "int"), ("processed", "int"), ("skipped", "int")),
    *(("failed", "bool"), ("ignored", "int"), ("rescued", "int"), ("created", "time")),
)


def register_job_tables() -> None:
    """Make the tables of jobs known to filters; called once, when the routes are made."""
    for kind, verbose in (
        ("job", "Job"),
        ("project_update", "ProjectUpdate"),
        ("unified_job", "UnifiedJob"),
        ("inventory_update", "InventoryUpdate"),
        ("ad_hoc_command", "AdHocCommand"),
        ("system_job", "SystemJob"),
        ("workflow_job", "WorkflowJob"),
        ("workflow_approval", "WorkflowApproval"),
    ):
        register(_jobs(kind, verbose))
    register(
        Table(
            kind="job_event",
            source='(select e.*, e."job" as "job_id", e."host" as "host_id" from "job_event" e)',
            verbose="JobEvent",
            columns={**_columns(_EVENT_COLUMNS), **_ids("job", "host")},
            relations={
                "job": forward("job", "job"),
                "host": forward("host", "host"),
            },
            order=("start_line", "id"),
            search=("stdout",),
            wide=True,
        )
    )
    register(
        Table(
            kind="ad_hoc_command_event",
            source=(
                '(select e.*, e."job" as "ad_hoc_command" from "job_event" e'
                ' join "unified_job" j on j."id" = e."job" and j."kind" = \'ad_hoc_command\')'
            ),
            verbose="AdHocCommandEvent",
            columns={**_columns(_AD_HOC_COLUMNS), **_ids("ad_hoc_command", "host")},
            relations={
                "ad_hoc_command": forward("ad_hoc_command", "ad_hoc_command"),
                "host": forward("host", "host"),
            },
            order=("-id",),
            search=("stdout",),
            wide=True,
        )
    )
    register(
        Table(
            kind="job_host_summary",
            source='"job_host_summary"',
            verbose="JobHostSummary",
            columns={**_columns(_SUMMARY_COLUMNS), **_ids("job", "host", "constructed_host")},
            relations={
                "job": forward("job", "job"),
                "host": forward("host", "host"),
                "constructed_host": forward("constructed_host", "host"),
            },
            order=("-id",),
            search=("host_name",),
        )
    )
    register(_workflow_nodes())
    for kind, name, table, remote in _HELD:
        table_of(kind).relations[name] = backward(name, table, remote)


def _workflow_nodes() -> Table:
    """Return the table of nodes of workflow jobs: so far those of sliced runs, without prompts."""
    kept = {"id", "created", "modified", "do_not_run", "job", "workflow_job"}
    kept.add("unified_job_template")
    empty = {"identifier": "''::text", "extra_data": "'{}'::text"}
    empty["all_parents_must_converge"] = "false"
    columns = [
        f'{empty.get(name, f"null::{_SQL_TYPES[base]}")} as "{name}"'
        for name, base in (*_NODE_COLUMNS, *((name, "int") for name, _ in _NODE_REFERENCES))
        if name not in kept
    ]
    return Table(
        kind="workflow_job_node",
        source=f'(select n.*, {", ".join(columns)} from "workflow_job_node" n)',  # noqa: S608 - names from above
        verbose="WorkflowJobNode",
        columns={**_columns(_NODE_COLUMNS), **_ids(*(name for name, _ in _NODE_REFERENCES))},
        relations={name: forward(name, table) for name, table in _NODE_REFERENCES},
        order=("id",),
        search=("unified_job_template__description", "unified_job_template__name"),
    )


def _jobs(kind: str, verbose: str) -> Table:
    where = "" if kind == "unified_job" else f" where j.\"kind\" = '{kind}'"
    columns = _columns(_JOB_COLUMNS)
    for name, base, sql in _COMPUTED:
        columns[name] = Column(name=name, base=base, sql=sql, secret=name in UNSEARCHED)
    relations = {
        name: Relation(name=name, table=table, on=on, many=many)
        for name, table, on, many in _OF_TYPE
        if name != kind
    }
    for name, table, local in _REFERENCES:
        columns[name] = Column(name=name, base="id", sql=f'{{t}}."{local}"')
        if name in _RELATED:
            relations[name] = forward(name, table, local)
    if kind == "inventory_update":
        columns["inventory_source"] = columns["unified_job_template"]
        relations["inventory_source"] = forward(
            "inventory_source", "inventory_source", "unified_job_template_id"
        )
    return Table(
        kind=kind,
        source=_SOURCE.replace("{where}", where),
        verbose=verbose,
        columns=columns,
        relations=relations,
        order=("id",),
        search=("description", "name"),
        polymorphic=kind == "unified_job",
    )


def _columns(pairs: tuple[tuple[str, str], ...]) -> dict[str, Column]:
    found = {name: column(name, base) for name, base in pairs}
    found["pk"] = Column(name="pk", base="int", sql='{t}."id"')
    return found


def _ids(*names: str) -> dict[str, Column]:
    return {name: column(name, "id") for name in names}

-- name: user_by_name
select "id", "username", "password", "is_superuser", "is_system_auditor", "external_provider" from "user" where "username" = $1

-- name: user_by_id
select "id", "username", "password", "is_superuser", "is_system_auditor", "external_provider" from "user" where "id" = $1

-- name: user_by_token
select u."id", u."username", u."password", u."is_superuser", u."is_system_auditor",
       k."id" as "token", k."scope", k."expires"
from "token" k join "user" u on u."id" = k."user_id"
where k."token_hash" = $1 and k."expires" > $2

-- name: token_refreshed_by
select "id", "user_id", "application", "scope", "created", "description", "refresh_hash"
from "token" where "refresh_hash" = $1 or "spent" @> array[$1]

-- name: tokens_of_applications
select * from (
    select k."application" as "owner", count(*) over (partition by k."application") as "count",
           k."id", k."scope",
           row_number() over (partition by k."application" order by k."id") as "place"
    from "token" k where k."application" = any($1)
) as t where t."place" <= $2 order by t."owner", t."id"

-- name: application_by_client_id
select "id", "name", "client_id", "client_secret", "client_type", "redirect_uris",
       "authorization_grant_type", "skip_authorization"
from "application" where "client_id" = $1

-- name: token_of_application
select k."id", u."id" as "user", u."username" from "token" k join "user" u on u."id" = k."user_id"
where k."application" = $2 and (k."token_hash" = $1 or k."refresh_hash" = $1)

-- name: grants_of_users
with recursive "teams" ("user_id", "team") as (
    (
        select a."user_id", a."object_id" from "role_assignment" a
        where a."user_id" = any($1::bigint[]) and a."kind" = 'team'
          and a."role" in ('admin', 'member')
        union
        select a."user_id", t."id"
        from "role_assignment" a join "team" t on t."organization" = a."object_id"
        where a."user_id" = any($1::bigint[]) and a."kind" = 'organization' and a."role" = 'admin'
    )
    union
    select m."user_id", a."object_id"
    from "teams" m join "role_assignment" a on a."team_id" = m."team"
    where a."kind" = 'team' and a."role" in ('admin', 'member')
)
select g."user_id", 0 as "team_id", g."kind", g."object_id", g."role", g."assignment"
from "role_grant" g where g."user_id" = any($1::bigint[])
union all
select m."user_id", m."team", g."kind", g."object_id", g."role", g."assignment"
from "teams" m join "role_grant" g on g."team_id" = m."team"
order by "kind", "object_id", "role", "team_id"

-- name: grants_of_team
with recursive "teams" ("team") as (
    select $1::bigint
    union
    select a."object_id" from "teams" h join "role_assignment" a on a."team_id" = h."team"
    where a."kind" = 'team' and a."role" in ('admin', 'member')
)
select g."kind", g."object_id", g."role"
from "teams" h join "role_grant" g on g."team_id" = h."team"

-- name: job_template_label_rows
select l."id" as "owner", t."id", t."name"
from "job_template_labels" l join "label" t on t."id" = l."target"
where l."id" = any($1) order by t."name", t."id"

-- name: inventory_label_rows
select l."id" as "owner", t."id", t."name"
from "inventory_labels" l join "label" t on t."id" = l."target"
where l."id" = any($1) order by t."name", t."id"

-- name: job_template_credential_rows
select l."id" as "owner", t."id", t."name", t."description", t."kind", t."cloud",
       case when t."kind" = 'vault' then t."inputs" ->> 'vault_id' end as "vault_id"
from "job_template_credentials" l join "credential" t on t."id" = l."target"
where l."id" = any($1) order by l."position", t."id"

-- name: host_group_rows
select l."target" as "owner", t."id", t."name"
from "group_hosts" l join "group" t on t."id" = l."id"
where l."target" = any($1) order by t."name", t."id"

-- name: organization_counts
select o."id",
    (select count(*) from "inventory" t where t."organization" = o."id") as "inventories",
    (select count(*) from "team" t where t."organization" = o."id") as "teams",
    (select count(*) from "organization_users" t where t."id" = o."id") as "users",
    (select count(*) from "organization_admins" t where t."id" = o."id") as "admins",
    (select count(*) from "job_template" t where t."organization" = o."id") as "job_templates",
    (select count(*) from "project" t where t."organization" = o."id") as "projects",
    (select coalesce(sum(t."total_hosts"), 0)::bigint from "inventory" t
     where t."organization" = o."id") as "hosts"
from "organization" o where o."id" = any($1)

-- name: credential_owners
select c."id" as "owner", 'organization' as "type", o."id", o."name", o."description", 1 as "rank"
from "credential" c join "organization" o on o."id" = c."organization" where c."id" = any($1)
union all
select c."id", 'team', o."id", o."name", o."description", 2
from "credential" c join "team" o on o."id" = c."team" where c."id" = any($1)
union all
select c."id", 'user', o."id", o."username", o."first_name" || ' ' || o."last_name", 3
from "credential" c join "user" o on o."id" = c."user" where c."id" = any($1)
order by "rank"

-- name: all_instances
select "hostname", "node_type", "uuid", "changed_at", "capacity", "version"
from "instance" order by "hostname"

-- name: all_instance_groups
select g."name", coalesce(sum(i."capacity"), 0)::bigint as "capacity",
       coalesce(array_agg(i."hostname" order by i."hostname") filter (where i."id" is not null), '{}')
           as "instances"
from "instance_group" g
left join "instance_group_instances" m on m."id" = g."id"
left join "instance" i on i."id" = m."target"
group by g."id", g."name" order by g."name"

-- name: template_status
select "template" as "id", "last_job_run", "last_job_failed", "status"
from "template_status" where "template" = any($1)

-- name: project_content
select "project" as "id", "revision" as "scm_revision" from "project_content"
where "project" = any($1)

-- name: project_files
select p."scm_type", p."local_path", c."playbooks", c."inventory_files"
from "project" p left join "project_content" c on c."project" = p."id" where p."id" = $1

-- name: host_last_jobs
select "host", "job", "summary", "failed" from "host_last_job" where "host" = any($1)

-- name: host_recent_jobs
select w."id" as "host", j.*
from unnest($1::bigint[]) as w ("id")
cross join lateral (
    select u."id", u."kind" as "type", u."name", u."description", u."status", u."failed",
           u."finished", u."canceled_on", u."job_template_id",
           s."id" as "summary", s."failed" as "summary_failed"
    from (
        select b."id", b."job", b."attempt", b."failed" from "job_host_summary" b
        where b."host" = w."id"
        union all
        select b."id", b."job", b."attempt", b."failed" from "job_host_summary" b
        where b."constructed_host" = w."id"
    ) s join "unified_job" u on u."id" = s."job" and u."attempt" = s."attempt"
    order by s."id" desc limit $2
) j

-- name: recent_jobs
select w."id" as "template", j.*
from unnest($1::bigint[]) as w ("id")
cross join lateral (
    select u."id", u."kind" as "type", u."name", u."description", u."status", u."failed",
           u."finished", u."canceled_on"
    from "unified_job" u where u."unified_job_template_id" = w."id" order by u."id" desc limit $2
) j

-- name: instance_group_load
select g."id",
    (select coalesce(sum(i."capacity"), 0)::bigint from "instance_group_instances" m
     join "instance" i on i."id" = m."target" where m."id" = g."id") as "capacity",
    (select count(*) from "instance_group_instances" m where m."id" = g."id") as "instances",
    (select coalesce(sum(u."impact"), 0)::bigint from "unified_job" u
     where u."instance_group" = g."name" and u."status" in ('waiting', 'running')) as "consumed",
    (select count(*) from "unified_job" u
     where u."instance_group" = g."name" and u."status" in ('waiting', 'running')) as "running",
    (select count(*) from "unified_job" u where u."instance_group" = g."name") as "total"
from "instance_group" g where g."id" = any($1)

-- name: inventory_for_script
select "id", "name", "variables", "kind", "host_filter", "organization" from "inventory"
where "id" = $1

-- name: ids_of_inventory_hosts
select h."id" from "host" h where h."inventory" = $1

-- name: variables_of_hosts
select "id", "variables" from "host" where "id" = any($1)

-- name: inventory_groups
select g."id", g."name", g."description", g."variables",
    array(select m."target" from "group_hosts" m where m."id" = g."id") as "hosts",
    array(select c."target" from "group_children" c where c."id" = g."id") as "children"
from "group" g where g."inventory" = $1 order by g."name"

-- name: hosts_in_inventory
select "id", "name", "inventory" from "host" where "id" = any($1)

-- name: instance_loads
select w."node",
    (select coalesce(sum(u."impact"), 0)::bigint from "unified_job" u
     where u."execution_node" = w."node" and u."status" in ('waiting', 'running')) as "consumed",
    (select count(*) from "unified_job" u
     where u."execution_node" = w."node" and u."status" in ('waiting', 'running')) as "running",
    (select count(*) from "unified_job" u where u."execution_node" = w."node") as "total"
from unnest($1::text[]) as w ("node")

-- name: credential_type_inputs
select "id", "inputs" from "credential_type" where "id" = any($1)

-- name: recent_notifications
select o."id" as "owner", n."id", n."status", n."created", n."error"
from unnest($1::bigint[]) as o ("id")
cross join lateral (
    select r."id", r."status", r."created", r."error" from "notification" r
    where r."notification_template" = o."id" order by r."id" desc limit $2
) n
order by o."id", n."id" desc

-- name: workflow_job_template_label_rows
select l."id" as "owner", t."id", t."name"
from "workflow_job_template_labels" l join "label" t on t."id" = l."target"
where l."id" = any($1) order by t."name", t."id"

-- name: workflow_edges
select e."id", e."target", e."relation"
from (
    select *, 'success_nodes' as "relation" from "workflow_job_template_node_success_nodes"
    union all select *, 'failure_nodes' from "workflow_job_template_node_failure_nodes"
    union all select *, 'always_nodes' from "workflow_job_template_node_always_nodes"
) e where e."id" = any($1) order by e."target"

-- name: workflow_nodes_for_launch
select n.*, coalesce(
    (select to_jsonb(j) from "job_template" j where j."id" = n."unified_job_template"),
    (select to_jsonb(w) from "workflow_job_template" w where w."id" = n."unified_job_template"),
    (select to_jsonb(a) from "workflow_approval_template" a
     where a."id" = n."unified_job_template")
) as "template"
from "workflow_job_template_node" n where n."workflow_job_template" = $1 order by n."id"

-- name: launchable_templates
select "id" from "job_template" where "id" = any($1)
union all select "id" from "project" where "id" = any($1)
union all select "id" from "inventory_source" where "id" = any($1)
union all select "id" from "system_job_template" where "id" = any($1)
union all select "id" from "workflow_job_template" where "id" = any($1)

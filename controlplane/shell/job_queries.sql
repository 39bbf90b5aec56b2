-- name: job_template_for_launch
select t.* from "job_template" t where t."id" = $1

-- name: template_credentials
select l."target" from "job_template_credentials" l where l."id" = $1
order by l."position", l."target"

-- name: template_labels
select l."target" from "job_template_labels" l where l."id" = $1 order by l."target"

-- name: project_for_launch
select p."allow_override", p."scm_type", p."scm_branch", coalesce(c."content", '') as "content",
       s."current_job", coalesce(s."last_job_failed", false) as "last_job_failed"
from "project" p
left join "project_content" c on c."project" = p."id"
left join "template_status" s on s."template" = p."id"
where p."id" = $1

-- name: credentials_for_launch
select c."id", c."name", c."credential_type", c."inputs", t."kind", t."name" as "type_name"
from "credential" c join "credential_type" t on t."id" = c."credential_type"
where c."id" = any($1::bigint[])

-- name: named_groups
select "id", "name" from "instance_group" where "id" = any($1::bigint[])

-- name: known_inventories
select "id" from "inventory" where "id" = any($1::bigint[])

-- name: known_labels
select "id" from "label" where "id" = any($1::bigint[])

-- name: known_environments
select "id" from "execution_environment" where "id" = any($1::bigint[])

-- name: user_names
select "id", "username" as "name", "email", "first_name", "last_name" from "user" where "id" = $1

-- name: organizations_behind
select "organization" from "project" where "id" = $1 and "organization" is not null
union
select "organization" from "inventory" where "id" = $2 and "organization" is not null
union
select "organization" from "credential" where "id" = any($3::bigint[]) and "organization" is not null

-- name: groups_for_launch
select g."name"
from (
    select "target", 1 as "rank", "position" from "job_template_instance_groups" where "id" = $1
    union all
    select "target", 2, "position" from "inventory_instance_groups" where "id" = $2
    union all
    select "target", 3, "position" from "organization_instance_groups" where "id" = $3
) o
join "instance_group" g on g."id" = o."target"
where o."rank" <= case
    when (select t."prevent_instance_group_fallback" from "job_template" t where t."id" = $1) then 1
    when (select i."prevent_instance_group_fallback" from "inventory" i where i."id" = $2) then 2
    else 3
end
order by o."rank", o."position"

-- name: job_by_id
select j.*, g."id" as "instance_group_id"
from "unified_job" j left join "instance_group" g on g."name" = j."instance_group"
where j."id" = $1

-- name: job_results
select r.* from "job_result" r join "unified_job" j on j."id" = r."job" and j."attempt" = r."attempt"
where r."job" = any($1::bigint[])

-- name: jobs_processed
select j."id"
from "unified_job" j
left join "job_output" o on o."job" = j."id" and o."attempt" = j."attempt"
left join "job_result" r on r."job" = j."id" and r."attempt" = j."attempt"
where j."id" = any($1::bigint[]) and j."finished" is not null
  and coalesce(j."final_counter", 0) <= coalesce(o."last_counter", 0)
  and coalesce(o."hole", '') = ''
  and (coalesce(j."final_counter", 0) = 0 or coalesce(r."reported", false))

-- name: dead_letters_of
select d."job", string_agg(d."reason", '; ' order by d."stream", d."position") as "reason"
from "dead_letter" d where d."job" = any($1::bigint[]) group by d."job"

-- name: names_of
select "kind", "id", "name", "description" from (
    select 'organization' as "kind", "id", "name", "description" from "organization"
    where "id" = any($1::bigint[])
    union all
    select 'execution_environment', "id", "name", "description" from "execution_environment"
    where "id" = any($2::bigint[])
    union all
    select 'job_template', "id", "name", "description" from "job_template"
    where "id" = any($3::bigint[])
    union all
    select 'instance_group', "id", "name", '' from "instance_group" where "id" = any($4::bigint[])
    union all
    select 'system_job_template', "id", "name", "description" from "system_job_template"
    where "id" = any($5::bigint[])
    union all
    select 'workflow_job_template', "id", "name", "description" from "workflow_job_template"
    where "id" = any($5::bigint[])
) n

-- name: inventories_of
select "id", "name", "description", "has_active_failures", "total_hosts",
       "hosts_with_active_failures", "total_groups", "has_inventory_sources",
       "total_inventory_sources", "inventory_sources_with_failures", "organization", "kind"
from "inventory" where "id" = any($1::bigint[])

-- name: projects_of
select p."id", p."name", p."description", p."scm_type", p."allow_override",
       coalesce(s."status", case when p."scm_type" = '' then 'ok' else 'never updated' end)
           as "status"
from "project" p left join "template_status" s on s."template" = p."id"
where p."id" = any($1::bigint[])

-- name: inventory_sources_of
select s."id", s."name", s."description", s."source", t."last_job_run" as "last_updated",
       coalesce(t."status", 'never updated') as "status"
from "inventory_source" s left join "template_status" t on t."template" = s."id"
where s."id" = any($1::bigint[])

-- name: users_of
select "id", "username", "first_name", "last_name" from "user" where "id" = any($1::bigint[])

-- name: credentials_of
select c."id", c."name", c."description", c."kind", c."cloud", c."kubernetes",
       c."credential_type" as "credential_type_id", c."inputs"
from "credential" c where c."id" = any($1::bigint[])

-- name: labels_of
select "id", "name" from "label" where "id" = any($1::bigint[])

-- name: facts_of_host
select "facts"::text as "facts" from "host_facts" where "host" = $1

-- name: facts_modified
select "host", "modified" from "host_facts" where "host" = any($1::bigint[])

-- name: jobs_before
select "id" from "unified_job"
where "kind" = $1 and "created" < $2 and "finished" is not null and "id" > $3
order by "id" limit $4

-- name: jobs_kept
select count(*) as "count" from "unified_job"
where "kind" = $1 and not ("created" < $2 and "finished" is not null)

-- name: activity_before
select sum(n)::bigint as "count" from (
    select count(*) as n from "activity" where "timestamp" < $1 and "timestamp" >= coalesce(
        (select "before" from "activity_hidden"), '-infinity')
    union all
    select count(*) from "job_activity" where "timestamp" < $1 and "timestamp" >= coalesce(
        (select "before" from "activity_hidden"), '-infinity')
    union all
    select count(*) from "access" where "timestamp" < $1 and "timestamp" >= coalesce(
        (select "before" from "activity_hidden"), '-infinity')
) as each

-- name: setting_value
select "value" from "setting" where "name" = $1

-- name: tokens_expired
select "id" from "token"
where "expires" < $1 and ("refresh_hash" = '' or "created" < $2) and "id" > $3
order by "id" limit $4

-- name: system_job_output
select e."job", string_agg(e."stdout", E'\n' order by e."counter") as "text"
from "job_event" e join "unified_job" j on j."id" = e."job" and j."attempt" = e."attempt"
where e."job" = any($1::bigint[]) and e."stdout" <> '' group by e."job"

-- name: jobs_of_nodes
select "id", "kind", "name", "description", "status", "failed", "started", "finished"
from "unified_job" where "id" = any($1::bigint[])

-- name: templates_of_nodes
select "id", "name", "description" from "job_template" where "id" = any($1::bigint[])

-- name: workflow_jobs_of
select j."id", n."id" as "workflow_job_id", n."name", n."description", n."status", n."failed",
       n."started", n."finished"
from "unified_job" j join "unified_job" n on n."id" = j."workflow_job_id"
where j."id" = any($1::bigint[])

-- name: job_events_page
select * from "job_event" e
where e."id" between $1 and $2 and e."job_day" = $3
order by e."id" limit $4

-- name: job_output_page
select "id", "counter", "stdout", "body", "start_line", "host_name", "task", "event" from (
    select e.*, sum(octet_length(e."stdout")) over (order by e."id")
        - octet_length(e."stdout") as "before"
    from (
        select "id", "counter", "stdout", "body", "start_line", "host_name", "task", "event"
        from "job_event"
        where "id" between $1 and $2 and "job_day" = $3 and ("stdout" <> '' or "body" is not null)
        order by "id" limit $4
    ) e
) p where p."before" < $5 order by p."id"

-- name: job_event_by_id
select * from "job_event" where "id" = $1 limit 1

-- name: job_output_state
select o.*, (select coalesce(sum(upper(r) - lower(r)), 0)::int from unnest(o."stored") r) as "events"
from "job_output" o where "job" = $1 and "attempt" = $2

-- name: job_host_summary_by_id
select * from "job_host_summary" where "id" = $1

-- name: hosts_by_status
select "host_name" from "job_host_summary"
where "job" = $1 and "attempt" = $2 and case $3::text
    when 'all' then true
    when 'failed' then "failed"
    when 'ok' then "ok" > 0
    when 'changed' then "changed" > 0
    when 'unreachable' then "dark" > 0
end
order by "host_name"

-- name: statuses_of_jobs
select "id", "status" from "unified_job" where "id" = any($1::bigint[])

-- name: known_projects
select "id" from "project" where "id" = any($1::bigint[])

-- name: active_job_dependents
select "id", "kind" from "unified_job"
where "status" in ('new', 'pending', 'waiting', 'running') and "depends" @> array[$1::text]

-- name: job_event_tree
select "counter", "event", "uuid", "parent_uuid" from "job_event"
where "id" between $1 and $2 and "job_day" = $3 order by "counter"

-- name: newest_job_on
select "id", "finished" from "unified_job"
where "job_template_id" = $1 and "limit_" = $2
order by "finished" is not null, "id" desc limit 1

-- name: hosts_to_resolve
select "name", "variables" from "host" where "inventory" = $1 order by "name" limit $2

-- name: hosts_perhaps_at
select "name", "variables" from "host"
where "inventory" = $1 and ("name" = $2 or position($2::text in "variables") > 0) order by "name"

-- name: newest_update
select "id", "status", "finished", "depends" from "unified_job"
where "kind" = 'project_update' and "project_id" = $1 and "job_type" = 'check'
order by "id" desc limit 1

-- name: content_of_commit
select "project_content", "galaxy_content", "scm_revision" from "unified_job"
where "kind" = 'project_update' and "project_id" = $1 and "scm_revision" = $2
  and "status" = 'successful' and "project_content" <> '' and length($2::text) >= 40
  and ($3::text is null or "depends" @> array[$3::text])
order by "id" desc limit 1

-- name: content_verified
select u."id" from "unified_job" u
where (case when u."kind" = 'project_update' then u."project_id" end) = $1
  and u."depends" @> array[$2::text] and u."status" = 'successful'
  and u."project_content" = coalesce(
      $3::text, (select c."content" from "project_content" c where c."project" = $1)
  )
limit 1

-- name: environment_choices
select
    (select "default_environment" from "project" where "id" = $1::bigint) as "project",
    (select "default_environment" from "organization" where "id" = $2::bigint) as "organization",
    (
        select o."default_environment" from "inventory" i
        join "organization" o on o."id" = i."organization" where i."id" = $3::bigint
    ) as "inventory",
    (select "value" from "setting" where "name" = $4::text) as "installation"

-- name: environment_for_launch
select "id", "name", "description", "image", "pull", "credential"
from "execution_environment" where "id" = $1

-- name: run_differences
with result as (
    select 1 as "side", e.* from "job_event" e
    where e."id" between $1 and $2 and e."job_day" = $3
    union all
    select 2, e.* from "job_event" e
    where e."id" between $4 and $5 and e."job_day" = $6
), outcome as (
    select "side", "play", "role", "task", "parent_uuid", "host_name", min("counter") as "at",
           max(case when "event" = 'runner_on_skipped' then 0
                    when "event" = 'runner_on_ok' and not "changed" then 1
                    when "event" = 'runner_on_ok' then 2
                    when not "failed" then 3
                    when "event" = 'runner_on_failed' then 4
                    else 5 end) as "rank"
    from result
    where "host_name" <> '' and "event" in
        ('runner_on_ok', 'runner_on_skipped', 'runner_on_failed', 'runner_on_unreachable')
    group by 1, 2, 3, 4, 5, 6
), numbered as (
    select "side", "play", "role", "task", "parent_uuid", row_number() over (
        partition by "side", "play", "role", "task" order by min("at"))::integer as "occurrence"
    from outcome group by 1, 2, 3, 4, 5
), told as (
    select "play", "role", "task", "occurrence", "host_name",
           min("at") filter (where "side" = 1) as "first_at",
           min("at") filter (where "side" = 2) as "second_at",
           max("rank") filter (where "side" = 1) as "first",
           max("rank") filter (where "side" = 2) as "second"
    from outcome join numbered using ("side", "play", "role", "task", "parent_uuid")
    group by 1, 2, 3, 4, 5
), placed as (
    select *, count("first") over "task" as "in_first", count("second") over "task" as "in_second"
    from told window "task" as (partition by "play", "role", "task", "occurrence")
), asked as (
    select * from placed
    where "first" is distinct from "second" and $7 = ("in_first" > 0 and "in_second" > 0)
        and ($8 = '' or "host_name" = $8) and ($9 = '' or "task" = $9)
)
select *, count(*) over ()::integer as "total" from asked
order by coalesce("second_at", "first_at"), "host_name", "task", "play" limit $10 offset $11

-- name: project_for_dry_run
select p."name", p."scm_branch", p."scm_update_on_launch", c."revision",
       coalesce(c."content", '') as "content", coalesce(c."playbooks", '[]') as "playbooks"
from "project" p left join "project_content" c on c."project" = p."id" where p."id" = $1

-- name: run_hosts
select "host_name", "failed" from "job_host_summary"
where "job" = $1 and "attempt" = $2 order by "host_name"

-- name: run_failures
with "last" as (
    select distinct on (e."host_name") e."host_name", e."parent_uuid"
    from "job_event" e
    where e."id" between $1 and $2 and e."job_day" = $3 and e."job" = $4 and e."failed"
        and e."host_name" = any($5::text[])
        and e."event" in ('runner_on_failed', 'runner_on_unreachable', 'runner_on_async_failed')
    order by e."host_name", e."counter" desc
)
select l."host_name", coalesce(t."task", '') as "task", coalesce(t."event_data", '{}') as "data"
from "last" l left join "job_event" t
    on t."id" between $1 and $2 and t."job_day" = $3 and t."uuid" = l."parent_uuid"
    and t."job" = $4 and hashtext(t."event") = hashtext('playbook_on_task_start')
    and t."event" = 'playbook_on_task_start' and t."event" <> ''
order by l."host_name"

-- name: run_done
select e."host_name", e."parent_uuid", max(e."counter") as "counter", bool_or(e."changed") as "changed"
from "job_event" e
where e."id" between $1 and $2 and e."job_day" = $3 and e."job" = $4
    and e."host_name" = any($5::text[]) and e."event" in ('runner_on_ok', 'runner_on_failed')
group by 1, 2 order by 1, 2 limit $6

-- name: run_tasks
select e."uuid", e."event_data" as "data" from "job_event" e
where e."id" between $1 and $2 and e."job_day" = $3 and e."job" = $4
    and hashtext(e."event") = hashtext('playbook_on_task_start')
    and e."event" = 'playbook_on_task_start' and e."event" <> ''
order by e."id" limit $5

-- name: run_plays
select count(distinct e."uuid")::integer as "started" from "job_event" e
where e."id" between $1 and $2 and e."job_day" = $3 and e."job" = $4
    and hashtext(e."event") = hashtext('playbook_on_play_start')
    and e."event" = 'playbook_on_play_start' and e."event" <> ''

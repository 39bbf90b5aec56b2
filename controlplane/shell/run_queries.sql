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

-- name: import_target
select i."organization", i."variables", i."kind" from "inventory" i
join "inventory_source" s on s."inventory" = i."id" where i."id" = $1 and s."id" = $2

-- name: import_standing
select h."id", h."name", h."instance_id",
       exists (select 1 from "inventory_source_hosts" o where o."id" = $2 and o."target" = h."id")
           as "owned"
from "host" h where h."inventory" = $1 order by h."id"

-- name: import_hosts
select h."id", h."name", h."variables", h."enabled", h."instance_id",
       exists (select 1 from "inventory_source_hosts" o where o."id" = $2 and o."target" = h."id")
           as "owned",
       array(select m."id" from "group_hosts" m where m."target" = h."id") as "groups"
from "host" h
where h."inventory" = $1 and (h."id" = any($3::bigint[]) or h."name" = any($4::text[]))

-- name: import_groups
select g."id", g."name", g."variables",
       exists (select 1 from "inventory_source_groups" o where o."id" = $2 and o."target" = g."id")
           as "owned",
       array(select c."target" from "group_children" c where c."id" = g."id") as "children"
from "group" g
where g."inventory" = $1 and ($3::text[] is null or g."name" = any($3::text[]))

-- name: import_group_ids
select g."id", g."name",
       exists (select 1 from "inventory_source_groups" o where o."id" = $2 and o."target" = g."id")
           as "owned"
from "group" g where g."inventory" = $1

-- name: import_gone_hosts
select h.* from "host" h join "inventory_source_hosts" o on o."target" = h."id" and o."id" = $2
where h."inventory" = $1 and h."id" = any($3::bigint[]) order by h."id"

-- name: import_gone_groups
select g.*, array(select m."target" from "group_hosts" m where m."id" = g."id") as "hosts",
       array(select c."target" from "group_children" c where c."id" = g."id") as "children"
from "group" g join "inventory_source_groups" o on o."target" = g."id" and o."id" = $2
where g."inventory" = $1 and g."id" = any($3::bigint[]) order by g."id"

-- name: source_for_launch
select s.*, i."name" as "inventory_name", i."organization", i."kind" as "inventory_kind"
from "inventory_source" s join "inventory" i on i."id" = s."inventory" where s."id" = $1

-- name: sources_on_launch
select s."id", s."update_cache_timeout", t."last_job", t."status", t."last_job_run"
from "inventory_source" s left join "template_status" t on t."template" = s."id"
where s."inventory" = $1 and s."update_on_launch" order by s."id"

-- name: input_inventories_of
select "target" from "inventory_input_inventories" where "id" = $1 order by "position", "target"

-- name: sources_to_update
select s."id", s."source", s."source_project", s."credential" from "inventory_source" s
where s."inventory" = $1 order by s."name", s."id"

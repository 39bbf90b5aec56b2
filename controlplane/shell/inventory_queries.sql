-- name: type_of_credential
select t."kind", t."namespace", t."name", t."inputs" as "schema", c."inputs" from "credential" c
join "credential_type" t on t."id" = c."credential_type" where c."id" = $1

-- name: credential_type_alone
select "kind", "namespace", "name", "inputs" as "schema", '{}' as "inputs" from "credential_type"
where "id" = $1

-- name: smart_inventories_near_host
select i."id", i."organization", i."host_filter" from "host" h
join "inventory" own on own."id" = h."inventory"
join "inventory" i on i."organization" = own."organization" and i."kind" = 'smart'
where h."id" = $1 order by i."id"

-- name: failures_in_inventories
select h."inventory" as "id", count(*) as "failed" from "host_last_job" l
join "host" h on h."id" = l."host"
where l."failed" and h."inventory" = any($1) group by h."inventory"

-- name: source_failures
select s."inventory" as "id", count(*) as "failed" from "inventory_source" s
join "template_status" t on t."template" = s."id"
where t."last_job_failed" and s."inventory" = any($1) group by s."inventory"

-- name: inventory_source_extras
select s."id" as "owner", o."id" as "organization", o."name" as "organization_name",
       o."description" as "organization_description", c."id", c."name", c."description", c."kind",
       c."cloud"
from "inventory_source" s
join "inventory" i on i."id" = s."inventory"
join "organization" o on o."id" = i."organization"
left join "credential" c on c."id" = s."credential"
where s."id" = any($1)

-- name: constructed_source
select s."id" from "inventory" i join "inventory_source" s on s."inventory" = i."id"
where i."id" = $1 and i."kind" = 'constructed' order by s."id" limit 1

-- name: constructed_sources
select s."inventory", s."source_vars", s."update_cache_timeout", s."limit", s."verbosity"
from "inventory_source" s where s."inventory" = any($1) and s."source" = 'constructed'

-- name: sources_of_inventory
select "id" from "inventory_source" where "inventory" = $1 order by "name", "id"

-- name: host_for_ad_hoc
select "name", "inventory" from "host" where "id" = $1

-- name: group_for_ad_hoc
select "name", "inventory" from "group" where "id" = $1

-- name: input_sources_of
select "description", "input_field_name", "metadata", "source_credential"
from "credential_input_source" where "target_credential" = $1 order by "id"

-- name: inventory_version
select i."kind", i."position", h."number" as "hosts", h."newest" as "host", g."number" as "groups",
       g."newest" as "group", m."number" as "members", m."newest" as "member",
       c."number" as "children", c."newest" as "child", n."number" as "inputs",
       n."newest" as "input"
from "inventory" i,
    lateral (select count(*) as "number", max("position") as "newest" from "host"
             where "inventory" = i."id") h,
    lateral (select count(*) as "number", max("position") as "newest" from "group"
             where "inventory" = i."id") g,
    lateral (select count(*) as "number", max(l."position") as "newest" from "group_hosts" l
             join "group" o on o."id" = l."id" where o."inventory" = i."id") m,
    lateral (select count(*) as "number", max(l."position") as "newest" from "group_children" l
             join "group" o on o."id" = l."id" where o."inventory" = i."id") c,
    lateral (select count(*) as "number", max("position") as "newest"
             from "inventory_input_inventories" where "id" = i."id") n
where i."id" = $1

-- name: kind_around_host
select i."kind" from "inventory" i join "host" h on h."inventory" = i."id" where h."id" = $1

-- name: kind_around_group
select i."kind" from "inventory" i join "group" g on g."inventory" = i."id" where g."id" = $1

-- name: shadows_of_host
select s."constructed_host" as "id" from "job_host_summary" s
where s."host" = $1 and s."constructed_host" is not null
union
select h."id" from "host" h join "inventory" i on i."id" = h."inventory"
where i."kind" = 'constructed' and h."instance_id" = $1::bigint::text
  and exists (select 1 from "host" o join "inventory_input_inventories" n
              on n."target" = o."inventory" where o."id" = $1 and n."id" = i."id")

-- name: hosts_from_elsewhere
select h."id", i."kind" = 'constructed' as "shadow",
       exists (select 1 from "inventory_source_hosts" o where o."target" = h."id") as "sourced"
from "host" h join "inventory" i on i."id" = h."inventory" where h."id" = any($1)

-- name: originals_in_inventory
-- Hosts of a constructed inventory name their original as it was imported: only one that is in an
-- input inventory counts, since whoever writes the inventory's rules may have it name any.
select h."id", o."id" as "original" from "host" h
join "host" o on o."id" = case when h."instance_id" ~ '^[0-9]{1,18}$'
    then h."instance_id"::bigint end
join "inventory" i on i."id" = o."inventory"
where h."inventory" = $1 and exists (
    select 1 from "inventory_input_inventories" n join "inventory" s on s."id" = n."target"
    where n."id" = h."inventory" and (s."id" = i."id"
        or s."kind" = 'smart' and s."organization" = i."organization"))

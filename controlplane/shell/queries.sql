-- name: user_by_name
select "id", "username", "password", "is_superuser", "is_system_auditor" from "user" where "username" = $1

-- name: user_by_id
select "id", "username", "password", "is_superuser", "is_system_auditor" from "user" where "id" = $1

-- name: user_by_token
select u."id", u."username", u."password", u."is_superuser", u."is_system_auditor",
       k."id" as "token", k."scope"
from "token" k join "user" u on u."id" = k."user_id"
where k."token_hash" = $1 and k."expires" > $2

-- name: grants_of_user
select "kind", "object_id", "role" from "role_grant" where "user_id" = $1

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

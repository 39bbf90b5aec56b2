-- name: credential_fields_looked_up
select "target_credential" as "id", "input_field_name" from "credential_input_source"
where "target_credential" = any($1)

-- name: credential_type_kind
select t."kind" from "credential" c
join "credential_type" t on t."id" = c."credential_type" where c."id" = $1

-- name: type_kind
select "kind" from "credential_type" where "id" = $1

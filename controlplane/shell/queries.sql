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

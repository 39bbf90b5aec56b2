"""Who holds which role on which object: table ``role_assignment`` and what it comes to.

A row of ``role_assignment`` is one definition held by one user or one team (the other is 0). The
view ``role_grant`` says what it grants: the object role that a managed definition stands for, or
each permission of a custom one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

from projections.projection import Run
from schemas.envelope import Recorded
from schemas.events.access import RoleAssigned, RoleGranted, RoleRevoked, RoleUnassigned
from schemas.role_definitions import definition_of, role_of

Creator = tuple[int, int, str, int, datetime, int]
"""Assignment's id, creator, kind and id of what was made, time, position."""

PER_TRANSACTION = 1 << 16
"""Room for the assignments of one transaction in an assignment's id."""

DDL = (
    (
        "CREATE TABLE role_assignment (id bigint PRIMARY KEY, user_id bigint NOT NULL,"
        " team_id bigint NOT NULL, definition bigint NOT NULL, kind text NOT NULL,"
        " object_id bigint NOT NULL, role text NOT NULL, created timestamptz NOT NULL,"
        " created_by bigint, position bigint NOT NULL,"
        " UNIQUE (user_id, team_id, kind, object_id, definition))"
    ),
    "CREATE INDEX ON role_assignment (team_id, kind)",
    "CREATE INDEX ON role_assignment (kind, object_id, role)",
    "CREATE INDEX ON role_assignment (definition)",
    (
        "CREATE VIEW role_grant AS SELECT user_id, team_id, kind, object_id, role, id AS assignment"
        " FROM role_assignment WHERE role <> ''"
        " UNION ALL SELECT a.user_id, a.team_id, a.kind, a.object_id, p.role, a.id"
        " FROM role_assignment a JOIN role_definition d ON d.id = a.definition"
        " CROSS JOIN LATERAL jsonb_array_elements_text(d.permissions) AS p (role)"
        " WHERE a.role = ''"
    ),
    'CREATE INDEX ON "user" (id) WHERE is_superuser OR is_system_auditor',
)

_CREATOR = """
INSERT INTO role_assignment
SELECT made.id, creator.id, 0, made.definition, made.kind, made.object_id, 'admin', made.at,
       creator.id, made.position
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::timestamptz[], $6::bigint[],
            $7::bigint[]) AS made (id, by, kind, object_id, at, position, definition)
JOIN "user" AS creator ON creator.id = made.by AND NOT creator.is_superuser
ON CONFLICT DO NOTHING
"""
"""Who creates an object administers it; a superuser needs no grant for that."""

_ASSIGN = """
INSERT INTO role_assignment VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING
"""
_REVOKE = """
DELETE FROM role_assignment WHERE user_id = $1 AND kind = $2 AND object_id = $3 AND role = $4
"""
_UNASSIGN = """
DELETE FROM role_assignment
WHERE user_id = $1 AND team_id = $2 AND kind = $3 AND object_id = $4 AND definition = $5
"""


class Numbering:
    """Ids of assignments: a function of where in CONFIG they are made."""

    def __init__(self) -> None:
        """Start before any transaction."""
        self._position = 0
        self._count = 0

    def next(self, position: int) -> int:
        """Return the id of the next assignment made by the transaction at a position.

        It is even: odd ones are left to what follows from a user's own flags.
        """
        if position != self._position:
            self._position, self._count = position, 0
        number = assignment_id(position, self._count)
        self._count += 1
        return number


def assignment_id(position: int, index: int) -> int:
    """Return the id of a transaction's n-th assignment."""
    return 2 * (position * PER_TRANSACTION + index)


def creators(made: Sequence[Creator]) -> Run:
    """Return the statement that makes creators administrators of what they made."""
    ids, by, kinds, objects, times, positions = (list(each) for each in zip(*made, strict=True))
    definitions = [definition_of(kind, "admin") for kind in kinds]
    return Run(sql=_CREATOR, args=(ids, by, kinds, objects, times, positions, definitions))


def statement(
    event: RoleGranted | RoleRevoked | RoleAssigned | RoleUnassigned,
    message: Recorded,
    numbering: Numbering,
) -> Run:
    """Return what an event about roles does to the table."""
    match event:
        case RoleGranted():
            definition = definition_of(event.kind, event.role)
            return _assign(event.user, 0, definition, event, message, numbering)
        case RoleAssigned():
            return _assign(event.user, event.team, event.definition, event, message, numbering)
        case RoleRevoked():
            return Run(sql=_REVOKE, args=(event.user, event.kind, event.object_id, event.role))
        case RoleUnassigned():
            place = (event.kind, event.object_id, event.definition)
            return Run(sql=_UNASSIGN, args=(event.user, event.team, *place))
        case _:
            assert_never(event)


def _assign(
    user: int,
    team: int,
    definition: int,
    event: RoleGranted | RoleAssigned,
    message: Recorded,
    numbering: Numbering,
) -> Run:
    actor = message.context.actor
    by = actor.id if actor.kind == "user" else None
    number = numbering.next(message.sequence)
    place = (event.kind, event.object_id, role_of(definition))
    holder = (number, user, team, definition)
    return Run(sql=_ASSIGN, args=(*holder, *place, message.context.at, by, message.sequence))

"""Instances in the read model.

Facts, capacity by AWX's formula (``api.md`` 4.11), group membership.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import assert_never

from projections.projection import Run
from schemas.capacity import capacity
from schemas.events.instance import (
    InstanceAdjusted,
    InstanceAvailable,
    InstanceEvent,
    InstanceRegistered,
    InstanceUnavailable,
)

DDL = (
    """
    CREATE TABLE instance (
        id bigint PRIMARY KEY,
        created timestamptz NOT NULL,
        modified timestamptz NOT NULL,
        position bigint NOT NULL,
        hostname text NOT NULL,
        uuid text NOT NULL,
        node_type text NOT NULL,
        groups text[] NOT NULL,
        cpu double precision NOT NULL,
        memory bigint NOT NULL,
        version text NOT NULL,
        isolation text[] NOT NULL,
        isolation_lacks text[] NOT NULL,
        cpu_capacity bigint NOT NULL,
        mem_capacity bigint NOT NULL,
        enabled boolean NOT NULL DEFAULT true,
        capacity_adjustment double precision NOT NULL DEFAULT 1,
        managed_by_policy boolean NOT NULL DEFAULT true,
        available boolean NOT NULL DEFAULT true,
        errors text NOT NULL DEFAULT '',
        registered_at timestamptz NOT NULL,
        changed_at timestamptz NOT NULL,
        capacity bigint GENERATED ALWAYS AS (
            CASE WHEN enabled AND available AND node_type <> 'hop' THEN
                trunc(least(cpu_capacity, mem_capacity)
                    + abs(cpu_capacity - mem_capacity) * capacity_adjustment)::bigint
            ELSE 0 END
        ) STORED
    )
    """,
    "CREATE INDEX ON instance (hostname)",
)

_LEAVE = """
DELETE FROM instance_group_instances AS member USING instance AS before, instance_group AS joined
WHERE before.id = $1 AND member.target = $1 AND member.id = joined.id
  AND joined.name = ANY(before.groups) AND joined.name <> ALL($2::text[])
"""
"""Only groups that the runner itself named before are left; those attached by hand stay."""

_REGISTER = """
INSERT INTO instance (id, hostname, uuid, node_type, groups, cpu, memory, version, cpu_capacity,
    mem_capacity, registered_at, changed_at, created, modified, position, isolation,
    isolation_lacks)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $12, $13, $14, $15)
ON CONFLICT (id) DO UPDATE SET hostname = $2, uuid = $3, node_type = $4, groups = $5, cpu = $6,
    memory = $7, version = $8, cpu_capacity = $9, mem_capacity = $10, registered_at = $11,
    changed_at = $11, available = true, errors = '', modified = $12, position = $13,
    isolation = $14, isolation_lacks = $15
"""

_JOIN = """
INSERT INTO instance_group_instances (id, target, position)
SELECT id, $1, $3 FROM instance_group WHERE name = ANY($2::text[]) ON CONFLICT DO NOTHING
"""

_ADJUST = """
UPDATE instance SET enabled = $2, capacity_adjustment = $3, managed_by_policy = $4, modified = $5,
    position = $6 WHERE id = $1
"""

_AVAILABILITY = """
UPDATE instance SET available = $2, errors = $3, changed_at = $4, position = $5 WHERE id = $1
"""


def statements(event: InstanceEvent, at: datetime, position: int) -> Iterator[Run]:
    """Yield what an instance's event changes; ``at`` is the time of the transaction."""
    match event:
        case InstanceRegistered():
            groups = list(event.groups)
            yield Run(sql=_LEAVE, args=(event.id, groups))
            facts = (event.hostname, event.uuid, event.node_type, groups, event.cpu, event.memory)
            size = capacity(event.cpu, event.memory)
            shown = (event.version, size.cpu, size.memory, event.at, at, position)
            apart = (list(event.isolation), list(event.isolation_lacks))
            args = (event.id, *facts, *shown, *apart)
            yield Run(sql=_REGISTER, args=args)
            yield Run(sql=_JOIN, args=(event.id, groups, position))
        case InstanceAdjusted():
            adjusted = (event.enabled, event.capacity_adjustment, event.managed_by_policy)
            yield Run(sql=_ADJUST, args=(event.id, *adjusted, at, position))
        case InstanceUnavailable():
            yield Run(sql=_AVAILABILITY, args=(event.id, False, event.reason, event.at, position))
        case InstanceAvailable():
            yield Run(sql=_AVAILABILITY, args=(event.id, True, "", event.at, position))
        case _ as never:
            assert_never(never)

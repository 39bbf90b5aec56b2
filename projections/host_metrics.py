"""Host metrics in the read model: each name that jobs ever ran on, and its deletions.

The projection of REPORTS counts, that of CONFIG keeps the deletions; a reader joins the two. What
the reports of a deleted job counted is taken back, as a rebuild would not find them.
"""

from __future__ import annotations

from projections.projection import Run
from schemas.envelope import Recorded
from schemas.events.host_metric import HostMetricDeleted

COUNT_DDL = (
    """
    CREATE TABLE host_metric (
        hostname text PRIMARY KEY,
        id bigint NOT NULL,
        first_automation timestamptz NOT NULL,
        last_automation timestamptz NOT NULL,
        automated_counter bigint NOT NULL
    )
    """,
    "CREATE INDEX ON host_metric (id)",
    "CREATE INDEX ON job_host_summary (host_name, created)",
)
DELETION_DDL = (
    """
    CREATE TABLE host_metric_deletion (
        hostname text PRIMARY KEY,
        deleted_counter bigint NOT NULL,
        last_deleted timestamptz NOT NULL,
        position bigint NOT NULL
    )
    """,
)
ADD = """
INSERT INTO host_metric AS h
SELECT hostname, id, $3, $3, 1 FROM unnest($1::text[], $2::bigint[]) AS told (hostname, id)
WHERE NOT EXISTS (SELECT 1 FROM job_host_summary AS s WHERE s.job = $4 AND s.id = $5)
ON CONFLICT (hostname) DO UPDATE
SET automated_counter = h.automated_counter + 1,
    first_automation = least(h.first_automation, $3),
    last_automation = greatest(h.last_automation, $3)
"""
"""Before a report's summaries are stored: one that is stored already counts once."""
SUBTRACT = (
    """
    UPDATE host_metric AS h
    SET automated_counter = h.automated_counter - gone.number,
        first_automation = coalesce(kept.first, h.first_automation),
        last_automation = coalesce(kept.last, h.last_automation)
    FROM (
        SELECT host_name, count(*) AS number FROM job_host_summary WHERE job = $1 GROUP BY 1
    ) AS gone
    CROSS JOIN LATERAL (
        SELECT min(s.created) AS first, max(s.created) AS last FROM job_host_summary AS s
        WHERE s.host_name = gone.host_name AND s.job <> $1
    ) AS kept
    WHERE h.hostname = gone.host_name
    """,
    """
    DELETE FROM host_metric AS h USING job_host_summary AS s
    WHERE s.job = $1 AND h.hostname = s.host_name AND h.automated_counter = 0
    """,
)
"""Before a job's summaries are removed."""
_DELETED = """
INSERT INTO host_metric_deletion AS d (hostname, deleted_counter, last_deleted, position)
VALUES ($1, 1, $2, $3)
ON CONFLICT (hostname) DO UPDATE
SET deleted_counter = d.deleted_counter + 1, last_deleted = $2, position = $3
"""


def deleted(event: HostMetricDeleted, message: Recorded) -> Run:
    """Return what a deletion changes."""
    return Run(sql=_DELETED, args=(event.hostname, message.context.at, message.sequence))

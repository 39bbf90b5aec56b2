"""The command about host metrics, prepared for the writer of CONFIG."""

from __future__ import annotations

from controlplane.shell.config_writer import ConfigView, Prepare, Prepared
from schemas import subjects
from schemas.events.host_metric import HostMetricDeleted

_GONE = """
select d.last_deleted >= m.last_automation from host_metric m
join host_metric_deletion d on d.hostname = m.hostname where m.hostname = $1
"""


def delete(number: int, hostname: str) -> Prepare:
    """Return the command that says of a host that it is managed no longer; once is enough."""

    async def prepare(view: ConfigView) -> Prepared:
        keys = frozenset({f"host_metric:{number}"})
        gone = await view.connection.fetchval(_GONE, hostname)
        return Prepared(
            subject=subjects.config("host_metric", number),
            events=() if gone else (HostMetricDeleted(id=number, hostname=hostname),),
            reads=keys,
            writes=keys,
        )

    return prepare

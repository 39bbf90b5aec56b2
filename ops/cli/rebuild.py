"""``playlog projections``: ``rebuild`` builds beside, compares row for row and switches.

``retry`` applies what was set aside.
"""

from __future__ import annotations

from pathlib import Path

from ops import connect, postgres
from ops.cli.deployment import client_settings
from projections import dead_letters
from projections.main import PROJECTIONS
from projections.rebuild import Rebuild, Rebuilding, TableResult
from projections.truncation import Truncated


async def run(data: Path | None, name: str | None, *, verify: bool) -> int:
    """Rebuild one projection or all; returns 1 when any table differed. Raises ValueError."""
    chosen = [each for each in PROJECTIONS if name in (None, each.name)]
    if not chosen:
        names = ", ".join(each.name for each in PROJECTIONS)
        raise ValueError(f"no projection is named {name!r}; there are {names}")
    told = client_settings(data)
    connection = await connect.connect_nats(
        told.nats_url, told.nats_creds_file, "rebuild", patient=False
    )
    results: list[TableResult] = []
    try:
        for projection in chosen:
            own = await postgres.connect_unhurried(told.postgres_dsn, told.postgres_password_file)
            try:
                rebuild = Rebuild(projection, connection, own)
                results += await rebuild.run(switch=not verify)
            finally:
                await own.close()
    except (Rebuilding, Truncated) as error:
        raise ValueError(str(error)) from error
    finally:
        await connect.close_quietly(connection)
    _print(results)
    different = [each for each in results if not each.same]
    if different:
        print(f"{len(different)} of {len(results)} tables differ")
        return 1
    what = "identical" if verify else "identical, and switched"
    print(f"{len(results)} tables, all {what}")
    return 0


async def retry(data: Path | None, *, drop: bool) -> int:
    """Apply every dead letter again; returns 1 when any is left, with ``drop`` none is."""
    told = client_settings(data)
    connection = await connect.connect_nats(
        told.nats_url, told.nats_creds_file, "retry", patient=False
    )
    try:
        own = await postgres.connect_unhurried(told.postgres_dsn, told.postgres_password_file)
        try:
            outcomes = await dead_letters.retry(connection, own, PROJECTIONS, drop=drop)
        finally:
            await own.close()
    finally:
        await connect.close_quietly(connection)
    for each in outcomes:
        place = f"{each.letter.stream} {each.letter.sequence} {each.letter.subject}"
        print(
            f"{place}: {each.problem or 'applied'}{' (dropped)' if drop and each.problem else ''}"
        )
    left = [] if drop else [each for each in outcomes if each.problem]
    print(f"{len(outcomes) - len(left)} of {len(outcomes)} dead letters settled")
    return 1 if left else 0


def _print(results: list[TableResult]) -> None:
    print(f"{'projection':<10} {'table':<32} {'rows':>8} {'rebuilt':>8}  sha256")
    for each in results:
        if each.same:
            print(
                f"{each.projection:<10} {each.table:<32} {each.live.rows:>8}"
                f" {each.rebuilt.rows:>8}  {each.live.sha256} = {each.rebuilt.sha256}"
            )
        else:
            print(
                f"{each.projection:<10} {each.table:<32} {each.live.rows:>8}"
                f" {each.rebuilt.rows:>8}  {each.live.sha256} != {each.rebuilt.sha256} DIFFERS"
            )

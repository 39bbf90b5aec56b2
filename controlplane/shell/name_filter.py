"""Which names a regular expression that somebody wrote matches, within bounds.

A search may take longer than the universe lasts, and while one runs in this process nothing else
does. So it is made in a process of its own, which is ended when its time is over.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterable

from controlplane.domain.imported import Unusable

WITHIN_S = 20.0
_PROGRAM = """
import json, re, signal, sys
signal.alarm(60)  # who asked may have been killed
pattern, names = json.load(sys.stdin)
try:
    wanted = re.compile(pattern)
except (re.error, OverflowError, RecursionError, MemoryError) as error:
    sys.exit(str(error)[:200] or type(error).__name__)
json.dump([name for name in names if wanted.match(name)], sys.stdout)
"""


async def matching(
    pattern: str, names: Iterable[str], within_s: float = WITHIN_S
) -> frozenset[str]:
    """Return the names that the pattern matches from their start. Raises Unusable."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", _PROGRAM),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,  # who stops us by the terminal does not judge the pattern
    )
    try:
        async with asyncio.timeout(within_s):
            told, said = await process.communicate(json.dumps([pattern, [*names]]).encode())
    except TimeoutError as error:
        text = f"host_filter needs more than {within_s:.0f} s: write a simpler regular expression"
        raise Unusable(text) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        why = said.decode(errors="replace").strip()[-200:]
        raise Unusable(f"host_filter is no regular expression: {why}")
    return frozenset(json.loads(told))

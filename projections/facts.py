"""The projection ``facts``: what is known of hosts, as the newest run that changed it says.

The end of a job in JOBS names the facts it changed by their digest; the content comes with the
message. Who cannot be read is set aside: facts never stop anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from projections.projection import Poison, RawMessage, Run, Statement
from schemas.envelope import Recorded

HOSTS_AT_ONCE = 200
_DDL = (
    (
        "CREATE TABLE host_facts (host bigint PRIMARY KEY, facts jsonb NOT NULL,"
        " content text NOT NULL, modified timestamptz NOT NULL, position bigint NOT NULL)"
    ),
)
_KEEP = """
INSERT INTO host_facts (host, facts, content, modified, position)
SELECT n.host, n.facts::jsonb, $3, $4, $5 FROM unnest($1::bigint[], $2::text[]) AS n (host, facts)
ON CONFLICT (host) DO UPDATE
SET facts = excluded.facts, content = excluded.content, modified = excluded.modified,
    position = excluded.position
WHERE host_facts.position < excluded.position
"""


_CLEARED = msgspec.Raw(b"null")


class Kept(Struct, frozen=True):
    """One host's facts, undecoded; JSON's null where a run cleared them."""

    facts: msgspec.Raw = _CLEARED


class Gathered(Struct, frozen=True, kw_only=True):
    """The facts that a job changed, as they come to this projection."""

    at: datetime
    content: str
    """Their digest."""
    hosts: dict[str, Kept]


_decoder = msgspec.json.Decoder(Gathered)


class Facts:
    """The projection of what jobs gathered; see the module."""

    name = "facts"
    stream = "JOBS"
    enveloped = False
    version = 1

    def ddl(self) -> Sequence[str]:
        """Return the statement that makes its table."""
        return _DDL

    def tables(self) -> Sequence[str]:
        """Return the one table."""
        return ("host_facts",)

    def apply(self, messages: Sequence[Recorded] | Sequence[RawMessage]) -> Iterable[Statement]:
        """Return the statements of a batch; a message without facts has none."""
        for message in messages:
            if isinstance(message, RawMessage) and message.data:
                yield from _of_message(message)


def _of_message(message: RawMessage) -> Iterator[Statement]:
    try:
        gathered = _decoder.decode(message.data)
        # By number: one statement cannot write a row twice, and "7" and "07" are one host.
        known = {int(host): _text(kept) for host, kept in gathered.hosts.items()}
    except (msgspec.DecodeError, ValueError) as error:
        raise Poison(message.sequence, str(error)) from error
    rows = list(known.items())
    for start in range(0, len(rows), HOSTS_AT_ONCE):
        hosts, facts = zip(*rows[start : start + HOSTS_AT_ONCE], strict=True)
        place = (gathered.content, gathered.at, message.sequence)
        yield Run(sql=_KEEP, args=(list(hosts), list(facts), *place))


def _text(kept: Kept) -> str:
    return "{}" if kept.facts == _CLEARED else bytes(kept.facts).decode()

"""Whose entitlements changed last, as the log tells it."""

from dataclasses import dataclass
from datetime import datetime

from boxoffice_server.domain.stream import LogFilter, LogRecord, RecordKind
from boxoffice_server.domain.subscription import EntitlementStatus
from boxoffice_server.ports import Repository

MOST_USERS = 50

# How many of the log's newest records are looked at: the few first, since they are mostly enough.
_LOOKS = (500, 5000)
_WANTED = LogFilter(kind=RecordKind.ENTITLEMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The newest change of what a user is entitled to. `scope` is its source and environment."""

    user_id: str
    time: datetime
    status: EntitlementStatus
    group: str
    scope: str


def recent_changes(repo: Repository) -> list[Change]:
    """List the users whose entitlements changed last, the newest first, each once."""
    bounds = repo.log.bounds()
    found: dict[str, Change] = {}
    for look in _LOOKS:
        after = max(bounds.head - look, bounds.earliest - 1)
        records, _ = repo.log.read(after=after, limit=look, wanted=_WANTED)
        found = {}
        for record in reversed(records):
            found.setdefault(record.user_id, _change(record))
        if len(found) >= MOST_USERS or after < bounds.earliest:
            break
    return list(found.values())[:MOST_USERS]


def _change(record: LogRecord) -> Change:
    return Change(
        user_id=record.user_id,
        time=record.create_time,
        status=EntitlementStatus(record.status),
        group=record.subscription_group,
        scope=record.scope,
    )

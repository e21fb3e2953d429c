"""A vendor for tests: it answers what it is told to."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.notification import VerifiedNotification
from boxoffice_server.domain.subscription import LineageKey


@dataclass
class Apple:
    """A vendor that answers what it is told to, and keeps what it was asked."""

    answer: Sequence[SubscriptionFact] | BoxofficeError = ()
    sent: Sequence[VerifiedNotification] | BoxofficeError = ()
    asked: list[LineageKey] = field(default_factory=list)
    spans: list[tuple[datetime, datetime]] = field(default_factory=list)

    async def statuses(self, lineage: LineageKey, *, now: datetime) -> list[SubscriptionFact]:
        del now
        self.asked.append(lineage)
        if isinstance(self.answer, BoxofficeError):
            raise self.answer
        return list(self.answer)

    async def history(
        self, lineage: LineageKey, *, now: datetime
    ) -> AsyncIterator[list[SubscriptionFact]]:
        del lineage, now
        if isinstance(self.answer, BoxofficeError):
            raise self.answer
        yield list(self.answer)

    async def notifications(
        self, since: datetime, until: datetime, *, now: datetime, only_failures: bool = False
    ) -> AsyncIterator[list[VerifiedNotification]]:
        del now, only_failures
        self.spans.append((since, until))
        if isinstance(self.sent, BoxofficeError):
            raise self.sent
        yield list(self.sent)

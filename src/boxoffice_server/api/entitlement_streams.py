"""EntitlementsService: the streams of events, and of entitlements after a snapshot of them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta

from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice.entitlements.v1 import subscriptions_pb2
from boxoffice_server.api import convert_entitlements as convert
from boxoffice_server.api.context import Context
from boxoffice_server.api.requests import Faults
from boxoffice_server.api.watch import watch
from boxoffice_server.domain.catalogue import MAX_GROUP
from boxoffice_server.domain.checks import standing_at
from boxoffice_server.domain.stream import Frame, LogBounds, LogFilter, RecordKind, Start
from boxoffice_server.domain.subscription import Entitlement, EntitlementChange, Environment
from boxoffice_server.domain.text import text_violations
from boxoffice_server.ports import Clock, EntitlementFilter, FrameSource, Repository, Store

MOST_GROUPS = 50
# How many entitlements a frame of a snapshot holds: at their longest less than a frame may.
SNAPSHOT_ITEMS = 100


class EntitlementStreamMethods:
    """Tells what happens to subscriptions and entitlements."""

    def __init__(
        self, *, store: Store, clock: Clock, feed: FrameSource, environment: Environment
    ) -> None:
        self._store = store
        self._clock = clock
        self._feed = feed
        self._environment = environment

    async def WatchSubscriptionEvents(
        self, request: pb.WatchSubscriptionEventsRequest, context: Context
    ) -> None:
        types = convert.from_event_types(request.types, "types")
        wanted = LogFilter(
            kind=RecordKind.SUBSCRIPTION_EVENT,
            user_id=request.user_id,
            statuses=frozenset(types),
            scopes=self._scopes(request),
            subscription_groups=frozenset(request.subscription_groups),
        )
        await watch(context, self._feed, wanted, request, pb.WatchSubscriptionEventsResponse)

    async def WatchEntitlements(
        self, request: pb.WatchEntitlementsRequest, context: Context
    ) -> None:
        wanted = LogFilter(
            kind=RecordKind.ENTITLEMENT,
            user_id=request.user_id,
            scopes=self._scopes(request),
            subscription_groups=frozenset(request.subscription_groups),
        )
        frames = self._feed
        if request.WhichOneof("start") is None:
            rows = EntitlementFilter(
                environment=self._read_environment(request),
                user_id=request.user_id,
                groups=tuple(sorted(wanted.subscription_groups)),
                source=convert.from_source_or_none(request.source, "source"),
            )
            frames = SnapshotThenTail(
                store=self._store, clock=self._clock, feed=self._feed, rows=rows
            )
        await watch(context, frames, wanted, request, pb.WatchEntitlementsResponse)

    def _scopes(
        self, request: pb.WatchSubscriptionEventsRequest | pb.WatchEntitlementsRequest
    ) -> frozenset[str]:
        """Read where what is wanted was bought, once the rest of the filter was checked."""
        faults = Faults()
        faults.user_id(request.user_id, "user_id", required=False)
        if len(request.subscription_groups) > MOST_GROUPS:
            faults.add("subscription_groups", f"must hold at most {MOST_GROUPS}")
        for index, group in enumerate(request.subscription_groups[:MOST_GROUPS]):
            field = f"subscription_groups[{index}]"
            faults.extend(text_violations(group, field, most=MAX_GROUP))
        faults.refuse()
        source = convert.from_source_or_none(request.source, "source")
        return convert.scopes(source, self._read_environment(request))

    def _read_environment(
        self, request: pb.WatchSubscriptionEventsRequest | pb.WatchEntitlementsRequest
    ) -> Environment:
        return convert.from_environment(
            request.environment, "environment", default=self._environment
        )


class SnapshotThenTail:
    """Implements ports.FrameSource: all rows as they are, and the log from before they were read.

    What changes while the rows are read is told again by the log, with its version. The snapshot is
    one whole, like a large transaction: only its last frame can be resumed from.
    """

    def __init__(
        self, *, store: Store, clock: Clock, feed: FrameSource, rows: EntitlementFilter
    ) -> None:
        self._store = store
        self._clock = clock
        self._feed = feed
        self._rows = rows

    async def stream(
        self, wanted: LogFilter, start: Start, *, position_field: int, progress_interval: timedelta
    ) -> AsyncGenerator[Frame]:
        del start
        # Read before the rows.
        bounds = await self._store.read(lambda repo: repo.log.bounds())
        before, more = "", True
        while more:
            rows = await self._read(before)
            more = len(rows) > SNAPSHOT_ITEMS
            page = rows[:SNAPSHOT_ITEMS]
            before = page[-1].id if page else ""
            yield self._frame(bounds, page, more=more)
        tail = self._feed.stream(
            wanted,
            bounds.head_token(),
            position_field=position_field,
            progress_interval=progress_interval,
        )
        async with aclosing(tail):
            async for frame in tail:
                yield frame

    async def _read(self, before: str) -> list[Entitlement]:
        def body(repo: Repository) -> list[Entitlement]:
            return repo.entitlements.find(self._rows, before_id=before, limit=SNAPSHOT_ITEMS + 1)

        return await self._store.read(body)

    def _frame(self, bounds: LogBounds, rows: Sequence[Entitlement], *, more: bool) -> Frame:
        now = self._clock.now()
        events = []
        for each in rows:
            band = standing_at(each, now)
            if band is not None:
                events.append(
                    subscriptions_pb2.EntitlementEvent(
                        id=EntitlementChange(entitlement=each, create_time=now).id,
                        entitlement=convert.to_entitlement(each, band),
                    )
                )
        # Field 1 and the one field that only these frames have.
        own = pb.WatchEntitlementsResponse(events=events, snapshot=True)
        return Frame(
            events=own.SerializeToString(),
            count=len(events),
            resume_token="" if more else bounds.head_token().encode(),
            through=bounds.head,
            prev_through=bounds.head,
            head=bounds.head,
            server_time=now,
            more=more,
            mark=None,
        )

"""EntitlementsService: the methods that read entitlements and what happened to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice_server.api import convert_entitlements as convert
from boxoffice_server.api.context import Context
from boxoffice_server.api.convert import from_timestamp
from boxoffice_server.api.freshness import check_fresh, read_freshness
from boxoffice_server.api.pages import MOST_ITEMS, Page, read_page
from boxoffice_server.api.requests import Faults
from boxoffice_server.domain.catalogue import MAX_GROUP
from boxoffice_server.domain.checks import standing_as_of, standing_at
from boxoffice_server.domain.stream import Token
from boxoffice_server.domain.subscription import (
    Band,
    Entitlement,
    EntitlementStatus,
    Environment,
    SubscriptionEvent,
)
from boxoffice_server.domain.text import text_violations
from boxoffice_server.ports import (
    Clock,
    EntitlementFilter,
    Repository,
    Store,
    SubscriptionEventFilter,
)
from boxoffice_server.subscriptions.picture import Pictures
from boxoffice_server.subscriptions.recalling import recall

# A call reads the rows so many times at most to find those that match.
MOST_ROUNDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What a list of entitlements is to hold: rows by `filter`, in `statuses` at the time."""

    filter: EntitlementFilter
    statuses: frozenset[EntitlementStatus]
    as_of: datetime | None
    known_at: datetime | None
    fresh: Token | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stood:
    """An entitlement as it stands at the time that is asked for."""

    entitlement: Entitlement
    band: Band

    @property
    def id(self) -> str:
        return self.entitlement.id


class EntitlementReadMethods:
    """What can be asked about entitlements."""

    def __init__(
        self, *, store: Store, clock: Clock, environment: Environment, pictures: Pictures
    ) -> None:
        self._store = store
        self._clock = clock
        self._environment = environment
        self._pictures = pictures

    async def GetEntitlement(
        self, request: pb.GetEntitlementRequest, context: Context
    ) -> pb.GetEntitlementResponse:
        del context
        faults = Faults()
        faults.id(request.entitlement_id, "entitlement_id")
        faults.refuse()
        token = read_freshness(request)

        def load(repo: Repository) -> Entitlement | None:
            check_fresh(repo, token)
            return repo.entitlements.get(request.entitlement_id)

        entitlement = await self._store.read(load)
        band = None if entitlement is None else standing_at(entitlement, self._clock.now())
        if entitlement is None or band is None:
            raise convert.entitlement_not_found(request.entitlement_id)
        return pb.GetEntitlementResponse(entitlement=convert.to_entitlement(entitlement, band))

    async def ListEntitlements(
        self, request: pb.ListEntitlementsRequest, context: Context
    ) -> pb.ListEntitlementsResponse:
        del context
        now = self._clock.now()
        wanted = self._read_filter(request, now)
        page = read_page(request, page_size=request.page_size, page_token=request.page_token)

        def begin(repo: Repository) -> str:
            check_fresh(repo, wanted.fresh)
            return repo.log.bounds().head_token().encode()

        token = await self._store.read(begin)
        if wanted.known_at is None:
            found, next_page_token = await self._collect(wanted, page, now)
        else:
            found, next_page_token = await self._recall(wanted, page, wanted.known_at)
        return pb.ListEntitlementsResponse(
            entitlements=[convert.to_entitlement(each.entitlement, each.band) for each in found],
            next_page_token=next_page_token,
            resume_token=token,
        )

    async def _collect(
        self, wanted: _Wanted, page: Page, now: datetime
    ) -> tuple[list[_Stood], str]:
        """Read on until the page is full, the list ends, or too much was read for one call."""
        found: list[_Stood] = []
        before = page.before_id
        limit = MOST_ITEMS if wanted.statuses else page.fetch
        for _ in range(MOST_ROUNDS):
            read = partial(_rows, wanted=wanted, before=before, limit=limit)
            rows, bands = await self._store.read(read)
            for each in rows:
                band = _band(each, bands, wanted.as_of, now)
                if band is not None and (not wanted.statuses or band.status in wanted.statuses):
                    found.append(_Stood(entitlement=each, band=band))
            if len(rows) < limit or len(found) >= page.fetch:
                items, next_page_token = page.cut(found)
                return list(items), next_page_token
            before = rows[-1].id
        return found, page.after(before)

    async def _recall(
        self, wanted: _Wanted, page: Page, known_at: datetime
    ) -> tuple[list[_Stood], str]:
        """Tell what was known, all of it at once: a user has few subscriptions."""
        as_of = wanted.as_of or known_at
        recalled = await self._store.read(
            lambda repo: recall(repo, self._pictures, wanted.filter, known_at=known_at, as_of=as_of)
        )
        found = [
            _Stood(entitlement=each.entitlement, band=each.band)
            for each in recalled
            if not wanted.statuses or each.band.status in wanted.statuses
        ]
        ids = [each.id for each in found]
        behind = ids.index(page.before_id) + 1 if page.before_id in ids else 0
        items, next_page_token = page.cut(found[behind:])
        return list(items), next_page_token

    def _read_filter(self, request: pb.ListEntitlementsRequest, now: datetime) -> _Wanted:
        faults = Faults()
        faults.page_size(request.page_size)
        faults.user_id(request.user_id, "user_id", required=False)
        _check_group(faults, request.subscription_group)
        faults.refuse()
        statuses = convert.from_statuses(request.statuses, request.status_categories)
        as_of = from_timestamp(request.as_of, "as_of") if request.HasField("as_of") else None
        known_at = None
        if request.HasField("known_at"):
            known_at = from_timestamp(request.known_at, "known_at")
            faults.user_id(request.user_id, "user_id")
            if known_at > now:
                faults.add("known_at", "must not be in the future")
            faults.refuse()
        return _Wanted(
            filter=EntitlementFilter(
                environment=convert.from_environment(
                    request.environment, "environment", default=self._environment
                ),
                user_id=request.user_id,
                groups=(request.subscription_group,) if request.subscription_group else (),
                source=convert.from_source_or_none(request.source, "source"),
                # The rows tell of the present only.
                statuses=statuses if as_of is None else (),
                time=now,
            ),
            statuses=frozenset(statuses),
            as_of=as_of,
            known_at=known_at,
            fresh=read_freshness(request),
        )

    async def ListSubscriptionEvents(
        self, request: pb.ListSubscriptionEventsRequest, context: Context
    ) -> pb.ListSubscriptionEventsResponse:
        del context
        wanted = self._read_event_filter(request)
        page = read_page(request, page_size=request.page_size, page_token=request.page_token)

        def load(repo: Repository) -> tuple[str, list[SubscriptionEvent]]:
            token = repo.log.bounds().head_token().encode()
            found = repo.subscription_events.find(
                wanted, before_id=page.before_id, limit=page.fetch
            )
            return token, found

        token, loaded = await self._store.read(load)
        events, next_page_token = page.cut(loaded)
        return pb.ListSubscriptionEventsResponse(
            events=[convert.to_subscription_event(event) for event in events],
            next_page_token=next_page_token,
            resume_token=token,
        )

    def _read_event_filter(
        self, request: pb.ListSubscriptionEventsRequest
    ) -> SubscriptionEventFilter:
        faults = Faults()
        faults.page_size(request.page_size)
        faults.user_id(request.user_id, "user_id", required=False)
        faults.optional_id(request.entitlement_id, "entitlement_id")
        faults.optional_id(request.lineage_id, "lineage_id")
        _check_group(faults, request.subscription_group)
        faults.refuse()
        from_time = until_time = None
        if request.HasField("from_time"):
            from_time = from_timestamp(request.from_time, "from_time")
        if request.HasField("until_time"):
            until_time = from_timestamp(request.until_time, "until_time")
        return SubscriptionEventFilter(
            environment=convert.from_environment(
                request.environment, "environment", default=self._environment
            ),
            user_id=request.user_id,
            lineage_id=request.lineage_id,
            entitlement_id=request.entitlement_id,
            group=request.subscription_group,
            source=convert.from_source_or_none(request.source, "source"),
            types=convert.from_event_types(request.types, "types"),
            from_time=from_time,
            until_time=until_time,
            superseded=request.include_superseded,
        )


Bands = Mapping[str, tuple[Band, ...]]


def _rows(
    repo: Repository, *, wanted: _Wanted, before: str, limit: int
) -> tuple[list[Entitlement], Bands]:
    """Read one page of rows; with all their bands where another time is asked for."""
    rows = repo.entitlements.find(wanted.filter, before_id=before, limit=limit)
    if wanted.as_of is None or not rows:
        return rows, {}
    return rows, repo.entitlements.bands([each.id for each in rows])


def _band(
    entitlement: Entitlement, bands: Bands, as_of: datetime | None, now: datetime
) -> Band | None:
    if as_of is None:
        return standing_at(entitlement, now)
    return standing_as_of(bands.get(entitlement.id, ()), as_of)


def _check_group(faults: Faults, group: str) -> None:
    faults.extend(text_violations(group, "subscription_group", least=0, most=MAX_GROUP))

"""What is kept of subscriptions, as seen by those who keep it and read it.

Whoever changes anything of a lineage holds its lock first (`LineageRepository.lock`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from boxoffice_server.domain.facts import AccountToken, Link, SubscriptionFact
from boxoffice_server.domain.grant import Grant
from boxoffice_server.domain.lineage import Lineage
from boxoffice_server.domain.subscription import (
    Band,
    Entitlement,
    EntitlementStatus,
    Environment,
    LineageKey,
    SubscriptionEvent,
    SubscriptionEventType,
    SubscriptionProduct,
    SubscriptionSource,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionProductFilter:
    """Which subscription products to list. An empty field asks for nothing."""

    source: SubscriptionSource | None = None
    app: str = ""
    group: str = ""
    tier: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionEventFilter:
    """Which subscription events to list. An empty field asks for nothing.

    The times are the vendor's: from `from_time` on, and before `until_time`. Superseded events are
    left out unless `superseded`.
    """

    environment: Environment
    user_id: str = ""
    lineage_id: str = ""
    entitlement_id: str = ""
    group: str = ""
    source: SubscriptionSource | None = None
    types: tuple[SubscriptionEventType, ...] = ()
    from_time: datetime | None = None
    until_time: datetime | None = None
    superseded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementFilter:
    """Which entitlements to list. An empty field asks for nothing.

    `statuses` leaves out only what surely has another status at `time`: one whose present band is
    over by then is found whatever it says, since its row does not tell what follows.
    """

    environment: Environment
    user_id: str = ""
    lineage_id: str = ""
    groups: tuple[str, ...] = ()
    source: SubscriptionSource | None = None
    statuses: tuple[EntitlementStatus, ...] = ()
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a check looks at: a group's tiers with their ranks, and what one user has of it.

    A group without tiers is in nobody's catalogue.
    """

    tiers: Mapping[str, int | None]
    entitlements: Sequence[Entitlement]


class SubscriptionProductRepository(Protocol):
    """What vendors' products mean to us."""

    def insert(self, product: SubscriptionProduct) -> bool:
        """Keep a product. False, changing nothing, if the vendor's product has one already.

        A product without a vendor's id is always kept. Waits for a concurrent transaction that
        keeps the same.
        """
        ...

    def get(self, product_id: str, *, lock: bool = False) -> SubscriptionProduct | None: ...
    def by_vendor(
        self, source: SubscriptionSource, app: str, vendor_product_id: str
    ) -> SubscriptionProduct | None: ...
    def find(
        self, wanted: SubscriptionProductFilter, *, before_id: str, limit: int
    ) -> list[SubscriptionProduct]:
        """List products, newest first, those with a smaller id than `before_id` (all if empty)."""
        ...

    def hold(self, group: str) -> None:
        """Lock a group, which may have no product yet, to the end of the transaction.

        Whoever gives a tier its rank holds its group first, so that two never disagree.
        """
        ...

    def hold_vendor(self, source: SubscriptionSource, app: str, vendor_product_id: str) -> None:
        """Lock a vendor's product, which may not be known yet, to the end of the transaction.

        Held by who makes it known and by who parks facts for it, so that neither misses the other.
        """
        ...

    def tiers(self, groups: Collection[str]) -> dict[str, dict[str, int | None]]:
        """Tell the tiers of these groups with their ranks; a group without products is left out."""
        ...

    def used(self, product: SubscriptionProduct) -> bool:
        """Tell whether facts, grants or entitlements speak of the product."""
        ...

    def update(self, product: SubscriptionProduct) -> None: ...
    def delete(self, product_id: str) -> None: ...


class SubscriptionFactRepository(Protocol):
    """Facts: kept once, never changed, never removed."""

    def insert_if_absent(self, fact: SubscriptionFact) -> bool:
        """Keep a fact. False, changing nothing, if it was kept before."""
        ...

    def get(self, fact_id: str) -> SubscriptionFact | None: ...
    def of_lineage(self, lineage_id: str) -> list[SubscriptionFact]:
        """Answer all facts of a lineage, in the order in which they were signed."""
        ...

    def lineages_of_product(
        self, source: SubscriptionSource, app: str, vendor_product_id: str
    ) -> list[LineageKey]:
        """List the lineages with a fact that speaks of this product, by their keys."""
        ...

    def previous(self, key: LineageKey) -> LineageKey | None:
        """Tell which lineage this one goes on from, as its facts say; None: from none."""
        ...

    def following(self, key: LineageKey) -> list[LineageKey]:
        """List the lineages that say that they go on from this one, by their keys."""
        ...

    def lineages_of_token(self, account_token: str) -> list[LineageKey]:
        """List the lineages with a fact that carries this token, by their keys."""
        ...


class LineageRepository(Protocol):
    """Lineages: whose each is, and when it must be looked at again."""

    def lock(self, key: LineageKey) -> Lineage:
        """Lock a lineage to the end of the transaction, and answer it; makes it where it is new.

        Who locks several does so in the order of their ids, so that none waits in a circle.
        """
        ...

    def get(self, lineage_id: str) -> Lineage | None: ...
    def update(self, lineage: Lineage) -> None: ...
    def due(self, now: datetime, *, limit: int) -> list[Lineage]:
        """List the lineages that the clock has changed by now, the longest overdue first."""
        ...

    def next_due(self) -> datetime | None:
        """Tell when the clock changes a lineage next; None: never."""
        ...

    def silent(self, now: datetime, *, limit: int) -> list[Lineage]:
        """List those whose vendor should have spoken by now, the longest silent first."""
        ...

    def of_user(self, user_id: str) -> list[Lineage]:
        """List what a user holds now, by id."""
        ...

    def count(self) -> int:
        """Tell how many lineages there are."""
        ...

    def page(self, *, after_id: str, limit: int) -> list[Lineage]:
        """List lineages by id, those after `after_id`: all of them, page by page."""
        ...


class LinkRepository(Protocol):
    """Whose a lineage is from when on."""

    def insert(self, link: Link) -> bool:
        """Keep a link. False, changing nothing, if it was kept before."""
        ...

    def of_lineage(self, lineage_id: str) -> list[Link]:
        """Answer all links of a lineage, in the order of their times, then of their ids."""
        ...


class AccountTokenRepository(Protocol):
    """The UUIDs by which purchases link themselves."""

    def insert(self, token: AccountToken) -> bool:
        """Keep a token. False, changing nothing, if it is there already."""
        ...

    def get(self, token: str) -> AccountToken | None: ...
    def of_user(self, user_id: str) -> list[AccountToken]:
        """List a user's tokens, the ended ones included, in the order they were made."""
        ...

    def end(self, user_id: str, time: datetime) -> int:
        """End a user's tokens that have not ended yet; tells how many they were."""
        ...


class SubscriptionEventRepository(Protocol):
    """What happened to subscriptions, as their facts tell it."""

    def insert_if_absent(self, event: SubscriptionEvent) -> bool:
        """Keep an event. False, changing nothing, if it was kept before."""
        ...

    def get(self, event_id: str) -> SubscriptionEvent | None: ...
    def of_lineage(self, lineage_id: str) -> list[SubscriptionEvent]:
        """Answer all events of a lineage, the superseded ones included, oldest first."""
        ...

    def update(self, event: SubscriptionEvent) -> None: ...
    def find(
        self, wanted: SubscriptionEventFilter, *, before_id: str, limit: int
    ) -> list[SubscriptionEvent]:
        """List events, the newest of the vendor's moments first, those after `before_id`."""
        ...


class EntitlementRepository(Protocol):
    """What users are entitled to.

    An entitlement that was removed is found no more, but its version goes on where it comes back.
    """

    def upsert(self, entitlement: Entitlement, bands: Sequence[Band]) -> None:
        """Write an entitlement, with all that it was, is and will be."""
        ...

    def remove(self, entitlement_id: str, version: int) -> None:
        """Remove an entitlement; `version` is the one that tells of it."""
        ...

    def get(self, entitlement_id: str) -> Entitlement | None: ...
    def bands(self, entitlement_ids: Collection[str]) -> dict[str, tuple[Band, ...]]:
        """Answer all that these were, are and will be, oldest first."""
        ...

    def versions(self, lineage_id: str) -> dict[str, int]:
        """Answer the versions of a lineage's entitlements by their ids, the removed ones' too."""
        ...

    def of_lineage(self, lineage_id: str) -> list[Entitlement]: ...
    def of_user(self, user_id: str) -> list[Entitlement]: ...
    def standing(self, user_id: str, group: str, environment: Environment) -> Standing:
        """Answer what a check of one user looks at, by one query."""
        ...

    def of_users(
        self, user_ids: Collection[str], groups: Collection[str], environment: Environment
    ) -> list[Entitlement]:
        """List what any of these users has of any of these groups."""
        ...

    def find(self, wanted: EntitlementFilter, *, before_id: str, limit: int) -> list[Entitlement]:
        """List entitlements, newest first, those after `before_id` in that order."""
        ...


class GrantRepository(Protocol):
    """What was given by hand."""

    def insert(self, grant: Grant) -> None: ...
    def get(self, grant_id: str, *, lock: bool = False) -> Grant | None: ...
    def update(self, grant: Grant) -> None: ...
    def of_user(self, user_id: str) -> list[Grant]:
        """List a user's grants, the revoked ones included, oldest first."""
        ...


class DutyRepository(Protocol):
    """What one replica does for all of them. Leases go by real time."""

    def take(self, name: str, owner: str, *, now: datetime, lease: timedelta) -> bool:
        """Take a duty, or keep it, for so long from now. False: another one has it."""
        ...

    def leave(self, name: str, owner: str) -> None:
        """Let whoever asks next have the duty; changes nothing where another owner has it."""
        ...

    def done(self, name: str) -> datetime | None:
        """Tell how far the duty has come; None: it was never done."""
        ...

    def mark_done(self, name: str, time: datetime) -> None:
        """Say how far the duty has come. Only who has it does."""
        ...


class SubscriptionRepositories(Protocol):
    """All that is kept of subscriptions, as seen by one transaction."""

    @property
    def subscription_products(self) -> SubscriptionProductRepository: ...
    @property
    def subscription_facts(self) -> SubscriptionFactRepository: ...
    @property
    def lineages(self) -> LineageRepository: ...
    @property
    def links(self) -> LinkRepository: ...
    @property
    def account_tokens(self) -> AccountTokenRepository: ...
    @property
    def subscription_events(self) -> SubscriptionEventRepository: ...
    @property
    def entitlements(self) -> EntitlementRepository: ...
    @property
    def grants(self) -> GrantRepository: ...
    @property
    def duties(self) -> DutyRepository: ...

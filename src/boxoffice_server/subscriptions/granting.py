"""What people of ours give by hand: each grant is a lineage of its own, told by two facts."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.facts import FactKind, Link, SubscriptionFact
from boxoffice_server.domain.grant import Grant
from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.signals import (
    ClockRules,
    Lost,
    Order,
    Period,
    PeriodSeen,
    Rank,
    Signal,
    Telling,
)
from boxoffice_server.domain.subscription import FOREVER, Base, EntitlementStatus
from boxoffice_server.ports import Clock, Repository
from boxoffice_server.subscriptions.engine import Brought, Subscriptions

_GRANTED, _REVOKED = "granted", "revoked"


class ManualVendor:
    """Reads what grants say. They end when they were said to, without a word from anyone."""

    rules = ClockRules(leeway=timedelta(), retry_limit=None, ends_by_itself=True)

    def signals(self, fact: SubscriptionFact) -> list[Signal]:
        """Tell what a grant's fact says: that it was given, or taken back."""
        told = json.loads(fact.payload)
        product = fact.vendor_product_id
        grant_id = fact.lineage.lineage
        if fact.type == _REVOKED:
            return [
                Lost(
                    order=Order(time=fact.sign_time, rank=Rank.LOSS, tie=fact.id),
                    time=fact.sign_time,
                    fact_id=fact.id,
                    product=product,
                    period_key=grant_id,
                    status=EntitlementStatus.REVOKED,
                )
            ]
        start = datetime.fromisoformat(told["from_time"])
        return [
            PeriodSeen(
                order=Order(time=fact.sign_time, rank=Rank.PERIOD, tie=fact.id),
                time=start,
                fact_id=fact.id,
                product=product,
                period=Period(
                    key=grant_id,
                    product=product,
                    start_time=start,
                    expire_time=datetime.fromisoformat(told["until_time"]),
                    base=Base.PROMOTION,
                    promotion_reference=grant_id,
                ),
                telling=Telling.ANNOUNCED,
                first=True,
                shown_time=fact.sign_time,
            )
        ]


class Granting:
    """Gives and takes back."""

    def __init__(self, *, clock: Clock, subscriptions: Subscriptions) -> None:
        self._clock = clock
        self._subscriptions = subscriptions

    def grant(self, repo: Repository, grant: Grant) -> Brought:
        """Give a user a subscription product."""
        repo.grants.insert(grant)
        now = self._clock.now()
        repo.lineages.lock(grant.lineage)
        repo.links.insert(
            Link(
                id=new_id(Prefix.LINK, now),
                lineage_id=grant.lineage.id,
                user_id=grant.user_id,
                time=grant.from_time,
                record_time=now,
                actor=grant.actor,
            )
        )
        until = grant.until_time or FOREVER
        told = {"from_time": grant.from_time.isoformat(), "until_time": until.isoformat()}
        self._subscriptions.hear(repo, _fact(grant, _GRANTED, told, now))
        return self._subscriptions.bring(repo, grant.lineage)

    def revoke(self, repo: Repository, grant_id: str, *, reason: str, actor: str) -> Grant:
        """Take back what was given; what has ended or was taken back can't be."""
        grant = repo.grants.get(grant_id, lock=True)
        if grant is None:
            raise BoxofficeError(
                Reason.GRANT_NOT_FOUND,
                f"there is no grant {grant_id}",
                metadata={"grant_id": grant_id},
            )
        now = self._clock.now()
        is_over = grant.until_time is not None and grant.until_time <= now
        if is_over or grant.revoke_time is not None:
            raise BoxofficeError(
                Reason.GRANT_ENDED,
                f"grant {grant_id} is over already",
                metadata={"grant_id": grant_id},
            )
        revoked = replace(grant, revoke_time=now, revoke_reason=reason, revoke_actor=actor)
        repo.grants.update(revoked)
        self._subscriptions.hear(repo, _fact(revoked, _REVOKED, {}, now))
        return revoked


def _fact(grant: Grant, type_: str, told: dict[str, str], now: datetime) -> SubscriptionFact:
    return SubscriptionFact(
        lineage=grant.lineage,
        kind=FactKind.GRANT,
        vendor_id=f"{grant.id}:{type_}",
        type=type_,
        sign_time=now,
        record_time=now,
        vendor_product_id=grant.product_id,
        payload=json.dumps(told).encode(),
    )

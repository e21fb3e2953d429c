"""The whole picture of one lineage, worked out from what is kept: reads, and changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from boxoffice_server.domain.facts import AccountToken, SubscriptionFact
from boxoffice_server.domain.lifecycle import tell
from boxoffice_server.domain.lineage import Parked
from boxoffice_server.domain.ownership import Holding, Tenure, share_out, tenures
from boxoffice_server.domain.story import Occurrence, Story
from boxoffice_server.domain.subscription import (
    Band,
    Entitlement,
    LineageKey,
    SubscriptionEvent,
    SubscriptionProduct,
    SubscriptionSource,
)
from boxoffice_server.ports import Repository, SubscriptionReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one user had, has and will have of one product of ours."""

    user_id: str
    product: SubscriptionProduct
    holding: Holding
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All that follows from what is kept of a lineage.

    `root` is the lineage that it goes on from, or itself: all facts are that one's.
    `silent_time` is when its vendor should have spoken if it has not by then.
    """

    key: LineageKey
    root: LineageKey
    facts: Mapping[str, SubscriptionFact]
    story: Story
    held: tuple[Tenure, ...]
    shares: tuple[Share, ...]
    products: Mapping[str, SubscriptionProduct]
    parked: Parked | None
    silent_time: datetime | None

    def holder(self, now: datetime) -> str:
        """Tell whose it is at this moment; empty: nobody's."""
        for tenure in self.held:
            if tenure.start <= now < tenure.end:
                return tenure.user_id
        return ""

    def events(self, share: Share, now: datetime) -> list[SubscriptionEvent]:
        """Tell the canonical events of a share that are known by now, oldest first."""
        known = [
            each
            for each in share.holding.occurrences
            if not each.by_clock or each.event_time <= now
        ]
        return [self._event(share, each, now) for each in sorted(known, key=_moment)]

    def entitlement(self, share: Share, now: datetime) -> Entitlement | None:
        """Tell what a share comes to now, but for its version; None while it has not begun."""
        past = [each for each in share.bands if each.from_time <= now]
        if not past:
            return None
        product, vendor_product = share.product, share.holding.product
        return Entitlement(
            id=self.key.entitlement_id(vendor_product, share.user_id),
            lineage_id=self.key.id,
            user_id=share.user_id,
            source=self.key.source,
            environment=self.key.environment,
            source_product_id=product.id,
            vendor_product_id=product.vendor_product_id,
            subscription_group=product.group,
            subscription_tier=product.tier,
            rank=product.rank,
            version=0,
            create_time=now,
            now=past[-1],
            later=tuple(each for each in share.bands if each.from_time > now),
        )

    def _event(self, share: Share, what: Occurrence, now: datetime) -> SubscriptionEvent:
        product, fact = share.product, self.facts.get(what.fact_id)
        following = self.products.get(what.new_product)
        vendor_product = share.holding.product
        return SubscriptionEvent(
            id=self.key.event_id(vendor_product, share.user_id, what.type, what.fact_ref),
            lineage_id=self.key.id,
            entitlement_id=self.key.entitlement_id(vendor_product, share.user_id),
            user_id=share.user_id,
            source=self.key.source,
            environment=self.key.environment,
            source_product_id=product.id,
            vendor_product_id=product.vendor_product_id,
            subscription_group=product.group,
            subscription_tier=product.tier,
            type=what.type,
            event_time=what.event_time,
            create_time=now,
            expire_time=what.expire_time,
            new_product_id=following.id if following is not None else "",
            new_vendor_product_id=what.new_product,
            promotion_reference=what.promotion_reference,
            fact_id=what.fact_id,
            notification_id=fact.notification_id if fact is not None else "",
        )


class Pictures:
    """Works out pictures."""

    def __init__(self, readers: Mapping[SubscriptionSource, SubscriptionReader]) -> None:
        self._readers = readers

    def root(self, repo: Repository, key: LineageKey) -> LineageKey:
        """Tell under which lineage a subscription is known: a vendor may give it another one."""
        passed = {key}
        while (previous := repo.subscription_facts.previous(key)) is not None:
            if previous in passed:
                # They claim to go on from each other: one of them has to be first.
                return min(passed)
            passed.add(previous)
            key = previous
        return key

    def take(
        self,
        repo: Repository,
        key: LineageKey,
        *,
        known_at: datetime | None = None,
        assumed: Sequence[SubscriptionFact] = (),
    ) -> Picture:
        """Work out the picture of a lineage.

        With `known_at`, from what was recorded by then; with `assumed`, as if these facts were kept
        as well.
        """
        root = self.root(repo, key)
        family = _family(repo, key) if root == key else []
        facts = [
            each
            for member in family
            for each in repo.subscription_facts.of_lineage(member.id)
            if known_at is None or each.record_time <= known_at
        ]
        kept = {each.id for each in facts}
        facts += [each for each in assumed if each.id not in kept]
        links = [
            each
            for member in family
            for each in repo.links.of_lineage(member.id)
            if known_at is None or each.record_time <= known_at
        ]
        reader = self._readers[key.source]
        story = tell([said for each in facts for said in reader.signals(each)], reader.rules)
        held = tenures(facts, links, _registered(repo, facts, known_at))
        products = _products(repo, key, story, known_at)
        by_id = {each.id: each for each in facts}
        shares = tuple(
            Share(
                user_id=each.user_id,
                product=products[each.product],
                holding=each,
                bands=tuple(_explained(band, products, by_id) for band in each.bands),
            )
            for each in share_out(story, held, key, reader.rules)
            if each.product in products
        )
        return Picture(
            key=key,
            root=root,
            facts=by_id,
            story=story,
            held=held,
            shares=shares,
            products=products,
            parked=_parked(story, held, products),
            silent_time=_silent_time(story),
        )


def _family(repo: Repository, root: LineageKey) -> list[LineageKey]:
    """List all lineages of one subscription, the first one first."""
    family, passed = [root], {root}
    for member in family:
        new = [each for each in repo.subscription_facts.following(member) if each not in passed]
        passed.update(new)
        family += new
    return family


def _moment(what: Occurrence) -> tuple[datetime, datetime, int, str]:
    return (what.event_time, what.effective_time, what.type.turn, what.fact_ref)


def _registered(
    repo: Repository, facts: Sequence[SubscriptionFact], known_at: datetime | None
) -> dict[str, AccountToken]:
    found = {}
    for token in {each.account_token for each in facts if each.account_token}:
        account = repo.account_tokens.get(token)
        if account is not None and (known_at is None or account.create_time <= known_at):
            found[token] = account
    return found


def _products(
    repo: Repository, key: LineageKey, story: Story, known_at: datetime | None
) -> dict[str, SubscriptionProduct]:
    """Find what the vendor's products of a story mean to us, those that are asked for included."""
    names = set(story.steps) | {each.new_product for each in story.occurrences if each.new_product}
    found = {}
    for name in sorted(names):
        product = _product(repo, key, name)
        if product is None and name in story.steps and known_at is None:
            # Another transaction may be about to make it known.
            repo.subscription_products.hold_vendor(key.source, key.app, name)
            product = _product(repo, key, name)
        if product is not None and (known_at is None or product.create_time <= known_at):
            found[name] = product
    return found


def _product(repo: Repository, key: LineageKey, name: str) -> SubscriptionProduct | None:
    if key.source is SubscriptionSource.MANUAL:
        return repo.subscription_products.get(name)
    return repo.subscription_products.by_vendor(key.source, key.app, name)


def _explained(
    band: Band,
    products: Mapping[str, SubscriptionProduct],
    facts: Mapping[str, SubscriptionFact],
) -> Band:
    """Add to a band what only the records tell: our id of the next product, the notification."""
    following, fact = products.get(band.new_vendor_product_id), facts.get(band.fact_id)
    return replace(
        band,
        new_product_id=following.id if following is not None else "",
        notification_id=fact.notification_id if fact is not None else "",
    )


def _parked(
    story: Story, held: Sequence[Tenure], products: Mapping[str, SubscriptionProduct]
) -> Parked | None:
    if any(product not in products for product in story.steps):
        return Parked.UNKNOWN_PRODUCT
    return None if held else Parked.NO_USER


def _silent_time(story: Story) -> datetime | None:
    """Tell when a renewing subscription runs out of what its vendor said of it."""
    ends = [steps[-1].time for steps in story.steps.values() if steps[-1].facets.silent]
    return min(ends, default=None)

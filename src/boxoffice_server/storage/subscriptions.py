"""The catalogue of subscriptions, their facts, and whose they are, in SQL."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from functools import cache

from sqlalchemy import (
    ColumnElement,
    Select,
    bindparam,
    delete,
    exists,
    func,
    select,
    text,
    update,
)

from boxoffice_server.domain.facts import AccountToken, Link, SubscriptionFact
from boxoffice_server.domain.grant import Grant
from boxoffice_server.domain.lineage import Lineage
from boxoffice_server.domain.subscription import (
    LineageKey,
    SubscriptionProduct,
    SubscriptionSource,
)
from boxoffice_server.ports import SubscriptionProductFilter
from boxoffice_server.storage.rows import (
    Statement,
    insert_if_absent,
    insert_row,
    newest_first,
    one_row,
    update_row,
)
from boxoffice_server.storage.session import Session
from boxoffice_server.storage.subscription_codecs import (
    from_account_token,
    from_grant,
    from_lineage,
    from_link,
    from_subscription_fact,
    from_subscription_product,
    to_account_token,
    to_grant,
    to_key,
    to_lineage,
    to_link,
    to_subscription_fact,
    to_subscription_product,
)
from boxoffice_server.storage.subscription_tables import (
    POLLED,
    TICKING,
    account_tokens,
    entitlements,
    grants,
    subscription_facts,
    subscription_lineages,
    subscription_links,
    subscription_products,
)
from boxoffice_server.storage.times import (
    from_microseconds_or_none,
    to_microseconds,
)

# The first number keeps these apart from all other advisory locks.
_HOLD = text("SELECT pg_advisory_xact_lock(2, hashtext(:group))")

_KEY = (
    subscription_facts.c.lineage_id,
    subscription_facts.c.source,
    subscription_facts.c.environment,
    subscription_facts.c.app,
    subscription_facts.c.lineage,
)


class SqlSubscriptionProducts:
    """Implements ports.SubscriptionProductRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(self, product: SubscriptionProduct) -> bool:
        values = from_subscription_product(product)
        key = ("source", "app", "vendor_product_id")
        return insert_if_absent(self._session, subscription_products, values, *key)

    def get(self, product_id: str, *, lock: bool = False) -> SubscriptionProduct | None:
        row = one_row(self._session, subscription_products, lock=lock, id=product_id)
        return None if row is None else to_subscription_product(row)

    def by_vendor(
        self, source: SubscriptionSource, app: str, vendor_product_id: str
    ) -> SubscriptionProduct | None:
        row = one_row(
            self._session,
            subscription_products,
            source=source.value,
            app=app,
            vendor_product_id=vendor_product_id,
        )
        return None if row is None else to_subscription_product(row)

    def find(
        self, wanted: SubscriptionProductFilter, *, before_id: str, limit: int
    ) -> list[SubscriptionProduct]:
        table = subscription_products
        conditions: list[ColumnElement[bool]] = []
        if wanted.source is not None:
            conditions.append(table.c.source == wanted.source.value)
        if wanted.app:
            conditions.append(table.c.app == wanted.app)
        if wanted.group:
            conditions.append(table.c.subscription_group == wanted.group)
        if wanted.tier:
            conditions.append(table.c.subscription_tier == wanted.tier)
        rows = newest_first(
            self._session,
            select(table),
            key=table.c.id,
            before=before_id,
            limit=limit,
            wanted=conditions,
        )
        return [to_subscription_product(row) for row in rows]

    def hold(self, group: str) -> None:
        # SQLite has a single writer, so there every transaction that writes holds all locks.
        if self._session.dialect == "postgresql":
            self._session.connection.execute(_HOLD, {"group": group})

    def hold_vendor(self, source: SubscriptionSource, app: str, vendor_product_id: str) -> None:
        self.hold(f"{source}\x1f{app}\x1f{vendor_product_id}")

    def tiers(self, groups: Collection[str]) -> dict[str, dict[str, int | None]]:
        table = subscription_products
        query = select(table.c.subscription_group, table.c.subscription_tier, table.c.rank)
        query = query.where(table.c.subscription_group.in_(sorted(groups))).distinct()
        found: dict[str, dict[str, int | None]] = {}
        for group, tier, rank in self._session.connection.execute(query):
            found.setdefault(group, {})[tier] = rank
        return found

    def used(self, product: SubscriptionProduct) -> bool:
        fact = subscription_facts.c
        of_product = (
            fact.source == product.source.value,
            fact.app == product.app,
            fact.vendor_product_id == product.vendor_product_id,
        )
        found = [
            exists().where(grants.c.product_id == product.id),
            exists().where(entitlements.c.source_product_id == product.id),
        ]
        if product.vendor_product_id:
            found.append(exists().where(*of_product))
        return any(self._session.connection.execute(select(each)).scalar_one() for each in found)

    def update(self, product: SubscriptionProduct) -> None:
        values = from_subscription_product(product)
        update_row(self._session, subscription_products, values, "id")

    def delete(self, product_id: str) -> None:
        gone = delete(subscription_products).where(subscription_products.c.id == product_id)
        self._session.connection.execute(gone)


@cache
def _facts(dialect: str) -> Statement:
    fact = subscription_facts.c
    query = select(subscription_facts).where(fact.lineage_id == bindparam("lineage_id"))
    query = query.order_by(fact.sign_time, fact.id)
    return Statement(dialect, query, answers=tuple(fact))


class SqlSubscriptionFacts:
    """Implements ports.SubscriptionFactRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert_if_absent(self, fact: SubscriptionFact) -> bool:
        values = from_subscription_fact(fact)
        return insert_if_absent(self._session, subscription_facts, values, "id")

    def get(self, fact_id: str) -> SubscriptionFact | None:
        row = one_row(self._session, subscription_facts, id=fact_id)
        return None if row is None else to_subscription_fact(row)

    def of_lineage(self, lineage_id: str) -> list[SubscriptionFact]:
        statement = _facts(self._session.dialect)
        rows = statement.rows(self._session, {"lineage_id": lineage_id})
        return [to_subscription_fact(row) for row in rows]

    def lineages_of_product(
        self, source: SubscriptionSource, app: str, vendor_product_id: str
    ) -> list[LineageKey]:
        fact = subscription_facts.c
        return self._keys(
            fact.source == source.value,
            fact.app == app,
            fact.vendor_product_id == vendor_product_id,
        )

    def previous(self, key: LineageKey) -> LineageKey | None:
        fact = subscription_facts.c
        query = select(func.max(fact.previous_lineage)).where(fact.lineage_id == key.id)
        found: str | None = self._session.connection.execute(query).scalar_one()
        return replace(key, lineage=found) if found else None

    def following(self, key: LineageKey) -> list[LineageKey]:
        fact = subscription_facts.c
        return self._keys(
            fact.previous_lineage == key.lineage,
            fact.source == key.source.value,
            fact.environment == key.environment.value,
            fact.app == key.app,
        )

    def lineages_of_token(self, account_token: str) -> list[LineageKey]:
        return self._keys(subscription_facts.c.account_token == account_token)

    def _keys(self, *wanted: ColumnElement[bool]) -> list[LineageKey]:
        query = select(*_KEY).where(*wanted).distinct().order_by(subscription_facts.c.lineage_id)
        return [to_key(row) for row in self._session.connection.execute(query).mappings()]


class SqlLineages:
    """Implements ports.LineageRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def lock(self, key: LineageKey) -> Lineage:
        new = from_lineage(Lineage(key=key))
        insert_if_absent(self._session, subscription_lineages, new, "id")
        row = one_row(self._session, subscription_lineages, lock=True, id=key.id)
        if row is None:
            raise LookupError("the lineage is gone")
        return to_lineage(row)

    def get(self, lineage_id: str) -> Lineage | None:
        row = one_row(self._session, subscription_lineages, id=lineage_id)
        return None if row is None else to_lineage(row)

    def update(self, lineage: Lineage) -> None:
        update_row(self._session, subscription_lineages, from_lineage(lineage), "id")

    def due(self, now: datetime, *, limit: int) -> list[Lineage]:
        time = subscription_lineages.c.next_time
        query = select(subscription_lineages).where(TICKING, time <= to_microseconds(now))
        return self._found(query.order_by(time).limit(limit))

    def next_due(self) -> datetime | None:
        query = select(func.min(subscription_lineages.c.next_time)).where(TICKING)
        return from_microseconds_or_none(self._session.connection.execute(query).scalar_one())

    def silent(self, now: datetime, *, limit: int) -> list[Lineage]:
        time = subscription_lineages.c.poll_time
        query = select(subscription_lineages).where(POLLED, time <= to_microseconds(now))
        return self._found(query.order_by(time).limit(limit))

    def of_user(self, user_id: str) -> list[Lineage]:
        query = select(subscription_lineages).where(subscription_lineages.c.user_id == user_id)
        return self._found(query.order_by(subscription_lineages.c.id))

    def count(self) -> int:
        query = select(func.count()).select_from(subscription_lineages)
        return int(self._session.connection.execute(query).scalar_one())

    def page(self, *, after_id: str, limit: int) -> list[Lineage]:
        query = select(subscription_lineages).where(subscription_lineages.c.id > after_id)
        return self._found(query.order_by(subscription_lineages.c.id).limit(limit))

    def _found(self, query: Select[tuple[object, ...]]) -> list[Lineage]:
        return [to_lineage(row) for row in self._session.connection.execute(query).mappings()]


class SqlLinks:
    """Implements ports.LinkRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(self, link: Link) -> bool:
        return insert_if_absent(self._session, subscription_links, from_link(link), "id")

    def of_lineage(self, lineage_id: str) -> list[Link]:
        query = select(subscription_links).where(subscription_links.c.lineage_id == lineage_id)
        query = query.order_by(subscription_links.c.time, subscription_links.c.id)
        return [to_link(row) for row in self._session.connection.execute(query).mappings()]


class SqlAccountTokens:
    """Implements ports.AccountTokenRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(self, token: AccountToken) -> bool:
        return insert_if_absent(self._session, account_tokens, from_account_token(token), "token")

    def get(self, token: str) -> AccountToken | None:
        row = one_row(self._session, account_tokens, token=token)
        return None if row is None else to_account_token(row)

    def of_user(self, user_id: str) -> list[AccountToken]:
        query = select(account_tokens).where(account_tokens.c.user_id == user_id)
        query = query.order_by(account_tokens.c.create_time, account_tokens.c.token)
        return [to_account_token(row) for row in self._session.connection.execute(query).mappings()]

    def end(self, user_id: str, time: datetime) -> int:
        mine = account_tokens.c.user_id == user_id
        query = update(account_tokens).where(mine, account_tokens.c.end_time.is_(None))
        return self._session.connection.execute(
            query.values(end_time=to_microseconds(time))
        ).rowcount


class SqlGrants:
    """Implements ports.GrantRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(self, grant: Grant) -> None:
        insert_row(self._session, grants, from_grant(grant), "id")

    def get(self, grant_id: str, *, lock: bool = False) -> Grant | None:
        row = one_row(self._session, grants, lock=lock, id=grant_id)
        return None if row is None else to_grant(row)

    def update(self, grant: Grant) -> None:
        update_row(self._session, grants, from_grant(grant), "id")

    def of_user(self, user_id: str) -> list[Grant]:
        query = select(grants).where(grants.c.user_id == user_id).order_by(grants.c.id)
        return [to_grant(row) for row in self._session.connection.execute(query).mappings()]

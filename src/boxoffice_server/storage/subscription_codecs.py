"""How what is kept of subscriptions is written as rows, and read from them."""

from boxoffice_server.domain.facts import AccountToken, FactKind, Link, SubscriptionFact
from boxoffice_server.domain.grant import Grant
from boxoffice_server.domain.lineage import Lineage, Parked
from boxoffice_server.domain.subscription import (
    Environment,
    LineageKey,
    SubscriptionProduct,
    SubscriptionSource,
)
from boxoffice_server.storage.codecs import Row, Values
from boxoffice_server.storage.times import (
    from_microseconds,
    from_microseconds_or_none,
    to_microseconds,
    to_microseconds_or_none,
)


def from_subscription_product(product: SubscriptionProduct) -> Values:
    """Write a subscription product as a row."""
    return {
        "id": product.id,
        "source": product.source.value,
        "app": product.app,
        "vendor_product_id": product.vendor_product_id or None,
        "name": product.name,
        "subscription_group": product.group,
        "subscription_tier": product.tier,
        "rank": product.rank,
        "create_time": to_microseconds(product.create_time),
        "update_time": to_microseconds(product.update_time),
    }


def to_subscription_product(row: Row) -> SubscriptionProduct:
    """Read a subscription product from its row."""
    return SubscriptionProduct(
        id=row["id"],
        source=SubscriptionSource(row["source"]),
        app=row["app"],
        vendor_product_id=row["vendor_product_id"] or "",
        name=row["name"],
        group=row["subscription_group"],
        tier=row["subscription_tier"],
        rank=row["rank"],
        create_time=from_microseconds(row["create_time"]),
        update_time=from_microseconds(row["update_time"]),
    )


def from_subscription_fact(fact: SubscriptionFact) -> Values:
    """Write a fact as a row."""
    return {
        "id": fact.id,
        "lineage_id": fact.lineage.id,
        **_from_key(fact.lineage),
        "kind": fact.kind.value,
        "vendor_id": fact.vendor_id,
        "type": fact.type,
        "sign_time": to_microseconds(fact.sign_time),
        "record_time": to_microseconds(fact.record_time),
        "notification_id": fact.notification_id,
        "account_token": fact.account_token,
        "token_time": to_microseconds_or_none(fact.token_time),
        "vendor_product_id": fact.vendor_product_id,
        "previous_lineage": fact.previous_lineage,
        "payload": fact.payload,
    }


def to_subscription_fact(row: Row) -> SubscriptionFact:
    """Read a fact from its row."""
    return SubscriptionFact(
        lineage=to_key(row),
        kind=FactKind(row["kind"]),
        vendor_id=row["vendor_id"],
        type=row["type"],
        sign_time=from_microseconds(row["sign_time"]),
        record_time=from_microseconds(row["record_time"]),
        notification_id=row["notification_id"],
        account_token=row["account_token"],
        token_time=from_microseconds_or_none(row["token_time"]),
        vendor_product_id=row["vendor_product_id"],
        previous_lineage=row["previous_lineage"],
        payload=row["payload"],
    )


def from_lineage(lineage: Lineage) -> Values:
    """Write a lineage as a row."""
    return {
        "id": lineage.key.id,
        **_from_key(lineage.key),
        "user_id": lineage.user_id,
        "next_time": to_microseconds_or_none(lineage.next_time),
        "poll_time": to_microseconds_or_none(lineage.poll_time),
        "parked": None if lineage.parked is None else lineage.parked.value,
    }


def to_lineage(row: Row) -> Lineage:
    """Read a lineage from its row."""
    return Lineage(
        key=to_key(row),
        user_id=row["user_id"],
        next_time=from_microseconds_or_none(row["next_time"]),
        poll_time=from_microseconds_or_none(row["poll_time"]),
        parked=None if row["parked"] is None else Parked(row["parked"]),
    )


def _from_key(key: LineageKey) -> Values:
    return {
        "source": key.source.value,
        "environment": key.environment.value,
        "app": key.app,
        "lineage": key.lineage,
    }


def to_key(row: Row) -> LineageKey:
    """Read a lineage's key from a row that has its columns."""
    return LineageKey(
        source=SubscriptionSource(row["source"]),
        environment=Environment(row["environment"]),
        app=row["app"],
        lineage=row["lineage"],
    )


def from_link(link: Link) -> Values:
    """Write a link as a row."""
    return {
        "id": link.id,
        "lineage_id": link.lineage_id,
        "user_id": link.user_id,
        "time": to_microseconds(link.time),
        "record_time": to_microseconds(link.record_time),
        "actor": link.actor,
    }


def to_link(row: Row) -> Link:
    """Read a link from its row."""
    return Link(
        id=row["id"],
        lineage_id=row["lineage_id"],
        user_id=row["user_id"],
        time=from_microseconds(row["time"]),
        record_time=from_microseconds(row["record_time"]),
        actor=row["actor"],
    )


def from_account_token(token: AccountToken) -> Values:
    """Write an account token as a row."""
    return {
        "token": token.token,
        "user_id": token.user_id,
        "create_time": to_microseconds(token.create_time),
        "end_time": to_microseconds_or_none(token.end_time),
    }


def to_account_token(row: Row) -> AccountToken:
    """Read an account token from its row."""
    return AccountToken(
        token=row["token"],
        user_id=row["user_id"],
        create_time=from_microseconds(row["create_time"]),
        end_time=from_microseconds_or_none(row["end_time"]),
    )


def from_grant(grant: Grant) -> Values:
    """Write a grant as a row."""
    return {
        "id": grant.id,
        "product_id": grant.product_id,
        "user_id": grant.user_id,
        "environment": grant.environment.value,
        "from_time": to_microseconds(grant.from_time),
        "until_time": to_microseconds_or_none(grant.until_time),
        "reason": grant.reason,
        "actor": grant.actor,
        "create_time": to_microseconds(grant.create_time),
        "revoke_time": to_microseconds_or_none(grant.revoke_time),
        "revoke_reason": grant.revoke_reason,
        "revoke_actor": grant.revoke_actor,
    }


def to_grant(row: Row) -> Grant:
    """Read a grant from its row."""
    return Grant(
        id=row["id"],
        product_id=row["product_id"],
        user_id=row["user_id"],
        environment=Environment(row["environment"]),
        from_time=from_microseconds(row["from_time"]),
        until_time=from_microseconds_or_none(row["until_time"]),
        reason=row["reason"],
        actor=row["actor"],
        create_time=from_microseconds(row["create_time"]),
        revoke_time=from_microseconds_or_none(row["revoke_time"]),
        revoke_reason=row["revoke_reason"],
        revoke_actor=row["revoke_actor"],
    )

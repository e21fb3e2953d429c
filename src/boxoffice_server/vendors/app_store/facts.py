"""Facts: what the App Store has signed about a subscription, made from verified payloads alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from boxoffice_server.domain.facts import FactKind, SubscriptionFact
from boxoffice_server.domain.subscription import LineageKey, SubscriptionSource
from boxoffice_server.vendors.app_store.payload import (
    ENVIRONMENTS,
    Renewal,
    Transaction,
    is_subscription,
    read_renewal,
    read_transaction,
)
from boxoffice_server.vendors.json_object import JsonObject, MalformedObjectError, parse_object

TRANSACTION = "TRANSACTION"
STATUS = "STATUS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The verified JSON of a transaction and of its renewal info, of which one may be missing.

    `status` is Apple's number for how the subscription stood, where that was said.
    """

    transaction: Mapping[str, object] | None
    renewal: Mapping[str, object] | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a fact holds, read. `type` is empty for what no notification told."""

    type: str
    subtype: str
    transaction: Transaction | None
    renewal: Renewal | None


def notification_fact(
    payload: JsonObject, signed: Signed, *, notification_id: str, record_time: datetime
) -> SubscriptionFact | None:
    """Make the fact of a notification; None where it speaks of no subscription.

    `payload` is the outer one. Raises MalformedObjectError where what is signed can't be read.
    """
    if signed.transaction is None and signed.renewal is None:
        return None
    data = payload.child("data")
    return _fact(
        signed,
        kind=FactKind.NOTIFICATION,
        app=data.identifier("bundleId"),
        environment=data.text("environment"),
        type_=payload.identifier("notificationType"),
        subtype=payload.text("subtype"),
        vendor_id=payload.identifier("notificationUUID"),
        sign_time=payload.milliseconds("signedDate"),
        notification_id=notification_id,
        record_time=record_time,
    )


def transaction_fact(
    signed: Signed, *, kind: FactKind, record_time: datetime
) -> SubscriptionFact | None:
    """Make the fact of a transaction that was read or handed in; None where it is no subscription.

    Raises MalformedObjectError where what is signed can't be read.
    """
    if signed.transaction is None:
        return None
    told, renewal = JsonObject(signed.transaction), JsonObject(signed.renewal or {})
    times = [told.milliseconds("signedDate"), renewal.milliseconds_if_any("signedDate")]
    parts = [told.identifier("transactionId"), str(told.integer("signedDate"))]
    if times[1] is not None:
        parts.append(str(renewal.integer("signedDate")))
    return _fact(
        signed,
        kind=kind,
        app=told.identifier("bundleId"),
        environment=told.text("environment"),
        type_=TRANSACTION if signed.renewal is None else STATUS,
        subtype="",
        vendor_id=":".join(["tx", *parts]),
        sign_time=max(time for time in times if time is not None),
        notification_id="",
        record_time=record_time,
    )


def read_story(fact: SubscriptionFact) -> Story:
    """Read what a fact holds."""
    payload = parse_object(fact.payload)
    told = fact.kind is FactKind.NOTIFICATION
    return Story(
        type=payload.text("type") if told else "",
        subtype=payload.text("subtype") if told else "",
        transaction=_transaction(payload.child("transaction")),
        renewal=_renewal(payload.child("renewal")),
    )


def full_type(type_: str, subtype: str) -> str:
    """Name a kind of notification, such as `DID_RENEW` or `SUBSCRIBED/INITIAL_BUY`."""
    return f"{type_}/{subtype}" if subtype else type_


def _fact(
    signed: Signed,
    *,
    kind: FactKind,
    app: str,
    environment: str,
    type_: str,
    subtype: str,
    vendor_id: str,
    sign_time: datetime,
    notification_id: str,
    record_time: datetime,
) -> SubscriptionFact | None:
    if signed.transaction is not None and not is_subscription(JsonObject(signed.transaction)):
        return None
    # Read here, so that whatever becomes a fact can be read for ever.
    transaction = _transaction(JsonObject(signed.transaction or {}))
    renewal = _renewal(JsonObject(signed.renewal or {}))
    lineages = {each.lineage for each in (transaction, renewal) if each is not None}
    if not lineages:
        return None
    if environment not in ENVIRONMENTS:
        raise MalformedObjectError("environment is none of Apple's servers")
    if len(lineages) > 1:
        raise MalformedObjectError("transaction and renewal info are of two subscriptions")
    return SubscriptionFact(
        lineage=LineageKey(
            source=SubscriptionSource.APP_STORE,
            environment=ENVIRONMENTS[environment],
            app=app,
            lineage=lineages.pop(),
        ),
        kind=kind,
        vendor_id=vendor_id,
        type=full_type(type_, subtype),
        sign_time=sign_time,
        record_time=record_time,
        notification_id=notification_id,
        account_token=transaction.account_token if transaction else "",
        token_time=_token_time(transaction),
        previous_lineage=transaction.previous_lineage if transaction else "",
        vendor_product_id=transaction.period.product if transaction else "",
        payload=json.dumps(
            {
                "type": type_,
                "subtype": subtype,
                "status": signed.status,
                "transaction": signed.transaction,
                "renewal": signed.renewal,
            },
            separators=(",", ":"),
        ).encode(),
    )


def _token_time(transaction: Transaction | None) -> datetime | None:
    if transaction is None or not transaction.account_token:
        return None
    return transaction.period.start_time


def _transaction(told: JsonObject) -> Transaction | None:
    if not told.fields or not is_subscription(told):
        return None
    return read_transaction(told)


def _renewal(told: JsonObject) -> Renewal | None:
    return read_renewal(told) if told.fields else None

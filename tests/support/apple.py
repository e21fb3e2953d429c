"""Apple's side of a story: what its notifications hold at each moment, as facts.

A story is told in short lines (`Told`). The desk here keeps what Apple would: which period a
lineage is in, whether it renews, into what, and how its periods were given back; and writes it into
each payload.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from boxoffice_server.domain.facts import FactKind, SubscriptionFact
from boxoffice_server.vendors.app_store.facts import Signed, notification_fact, transaction_fact
from boxoffice_server.vendors.json_object import JsonObject
from tests.vendors.app_store.payloads import ms, notification, renewal, transaction

Fields = Mapping[str, object]
NAMESPACE = uuid.UUID("b0c0ff1c-0000-4000-8000-000000000000")


@dataclass(frozen=True, kw_only=True)
class Bought:
    """A period, as it was bought. `offer` is Apple's type, discount and identifier."""

    key: str
    product: str
    start: datetime
    end: datetime
    offer: tuple[str, ...] = ()
    token: str = ""
    is_family: bool = False

    def fields(self) -> dict[str, object]:
        """The fields of its transaction."""
        offer = (*self.offer, "", "", "")
        return {
            "webOrderLineItemId": self.key,
            "transactionId": f"t-{self.key}",
            "productId": self.product,
            "purchaseDate": ms(self.start),
            "expiresDate": ms(self.end),
            "offerType": int(offer[0]) if offer[0] else None,
            "offerDiscountType": offer[1] or None,
            "offerIdentifier": offer[2] or None,
            "appAccountToken": self.token or None,
            "inAppOwnershipType": "FAMILY_SHARED" if self.is_family else "PURCHASED",
        }


@dataclass(frozen=True, kw_only=True)
class Told:
    """One fact: when it was signed and when it arrived, and what it says.

    `type` is Apple's, with its subtype; or READ, STATUS or SUBMITTED for what was asked or handed
    in. `bought` begins a period, `of` names an older one. `sets` changes the renewal info from then
    on, `tx` the period's transaction. `is_reversed`: a refund of the period had been reversed by
    then. `number` tells equal ones apart.
    """

    type: str
    signed: datetime
    arrived: datetime
    lineage: str = "o1"
    bought: Bought | None = None
    of: str = ""
    sets: Fields = field(default_factory=dict)
    tx: Fields = field(default_factory=dict)
    is_reversed: bool = False
    number: int = 0

    def __str__(self) -> str:
        """Write it as a line of a trace."""
        parts = [f"{self.arrived:%m%dT%H:%M:%S}", self.type, f"s={self.signed:%m%dT%H:%M:%S}"]
        if self.bought is not None:
            each = self.bought
            parts.append(f"{each.key}:{each.product}:{each.start:%m%dT%H}-{each.end:%m%dT%H}")
            parts += [f"offer={'/'.join(each.offer)}"] if each.offer else []
        parts += [f"of={self.of}"] if self.of else []
        parts += [f"{name}={value}" for name, value in {**self.sets, **self.tx}.items()]
        return " ".join(parts)


# What a notification of each kind changes in the renewal info, beside what it names itself.
_RENEWED: Fields = {
    "autoRenewStatus": 1,
    "gracePeriodExpiresDate": None,
    "isInBillingRetryPeriod": None,
    "expirationIntent": None,
    "priceIncreaseStatus": None,
    "renewalDate": None,
}
_SETS: Mapping[str, Fields] = {
    "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED": {"autoRenewStatus": 0},
    "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_ENABLED": {"autoRenewStatus": 1},
    "DID_CHANGE_RENEWAL_PREF/DOWNGRADE": {"autoRenewStatus": 1},
    "OFFER_REDEEMED/DOWNGRADE": {"autoRenewStatus": 1},
    "PRICE_INCREASE/PENDING": {"priceIncreaseStatus": 0},
    "PRICE_INCREASE/ACCEPTED": {"priceIncreaseStatus": 1},
    "DID_FAIL_TO_RENEW/GRACE_PERIOD": {"isInBillingRetryPeriod": True},
    "DID_FAIL_TO_RENEW": {"isInBillingRetryPeriod": True},
    "GRACE_PERIOD_EXPIRED": {"isInBillingRetryPeriod": True},
    "EXPIRED/VOLUNTARY": {
        "expirationIntent": 1,
        "autoRenewStatus": 0,
        "isInBillingRetryPeriod": False,
    },
    "EXPIRED/BILLING_RETRY": {"expirationIntent": 2, "isInBillingRetryPeriod": False},
    "EXPIRED/PRICE_INCREASE": {"expirationIntent": 3},
    "EXPIRED/PRODUCT_NOT_FOR_SALE": {"expirationIntent": 4},
}


class _Desk:
    """What Apple keeps of one lineage."""

    def __init__(self, lineage: str, bought: Sequence[Bought]) -> None:
        first = min(bought, key=lambda each: each.start)
        self._lineage = lineage
        self._periods = {each.key: each.fields() for each in bought}
        self._original = ms(first.start)
        self._current = first.key
        self._seen: set[str] = set()
        self._renewal: dict[str, object] = _product(first)

    def write(self, told: Told) -> SubscriptionFact:
        """Take note of what happened, and write the payload that tells it."""
        of = self._take(told)
        signed = {"signedDate": ms(told.signed), "originalTransactionId": self._lineage}
        tx = transaction(**{**of, **signed, "originalPurchaseDate": self._original})
        ri = renewal(**{**self._renewal, **signed})
        if told.type in {"READ", "STATUS", "SUBMITTED"}:
            fact = transaction_fact(
                Signed(transaction=tx, renewal=ri if told.type == "STATUS" else None),
                kind=FactKind.SUBMITTED if told.type == "SUBMITTED" else FactKind.READ,
                record_time=told.arrived,
            )
        else:
            type_, _, subtype = told.type.partition("/")
            name = f"{self._lineage} {told.type} {told.signed.isoformat()} {told.number}"
            fact = notification_fact(
                JsonObject(
                    notification(
                        type_,
                        subtype,
                        signedDate=ms(told.signed),
                        notificationUUID=str(uuid.uuid5(NAMESPACE, name)),
                    )
                ),
                Signed(transaction=tx, renewal=ri, status=1),
                notification_id="ntf_1",
                record_time=told.arrived,
            )
        assert fact is not None
        return fact

    def _take(self, told: Told) -> dict[str, object]:
        bought = told.bought
        if bought is not None and bought.key not in self._seen:
            self._seen.add(bought.key)
            self._current = bought.key
            self._renewal |= {**_RENEWED, **_product(bought)}
        if told.type == "DID_CHANGE_RENEWAL_PREF":
            self._renewal["autoRenewProductId"] = self._renewal["productId"]
        self._renewal |= {**_SETS.get(told.type, {}), **told.sets}
        of = self._periods[told.of or (bought.key if bought else self._current)]
        of |= told.tx
        if told.is_reversed or told.type == "REFUND_REVERSED":
            for name in ("revocationDate", "revocationReason", "revocationType"):
                of.pop(name, None)
        return of


def _product(bought: Bought) -> dict[str, object]:
    return {"productId": bought.product, "autoRenewProductId": bought.product}


def facts(told: Iterable[Told]) -> list[SubscriptionFact]:
    """The facts of a story, in the order in which it is told."""
    lines = list(told)
    bought: dict[str, list[Bought]] = {}
    for each in lines:
        if each.bought is not None:
            bought.setdefault(each.lineage, []).append(each.bought)
    desks = {lineage: _Desk(lineage, periods) for lineage, periods in bought.items()}
    written = {
        index: desks[lines[index].lineage].write(lines[index])
        for index in sorted(range(len(lines)), key=lambda index: lines[index].signed)
    }
    return [written[index] for index in range(len(lines))]

"""What must hold between the tables, Stripe's objects and the streams: one function for each."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from google.protobuf.message import Message

from boxoffice.orders.v1 import orders_pb2
from boxoffice.payments.v1 import payments_pb2
from boxoffice_server.domain.ids import Prefix, hashed_id
from boxoffice_server.domain.notification import NotificationState
from boxoffice_server.domain.order import OrderStatus
from boxoffice_server.vendors.stripe import metadata
from boxoffice_server.vendors.stripe.notifications import HANDLED_TYPES

Row = dict[str, Any]
Tables = dict[str, list[Row]]
# Amounts by currency and by what was done with them.
Sums = Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """What Stripe has of one account."""

    intents: list[Row]
    charges: list[Row]
    refunds: list[Row]
    disputes: list[Row]
    customers: list[Row]
    methods: list[Row]
    # Those that it has told, or would have.
    events: list[Row]

    @property
    def legacy_charges(self) -> list[Row]:
        """The charges that are no intent's."""
        return [each for each in self.charges if not each["payment_intent"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """All that the streams have told."""

    orders: list[orders_pb2.OrderEvent]
    payments: list[payments_pb2.PaymentEvent]


def check_money(tables: Tables, vendor: Vendor) -> None:
    """Check that the same sums were taken and given back here and at Stripe, payment by payment."""
    here = {
        each["stripe_payment_intent_id"] or each["stripe_charge_id"]: _settled_here(each)
        for each in tables["payments"]
    }
    there = {each["id"]: _settled_there(vendor, each) for each in vendor.intents}
    there |= {each["id"]: _settled_there(vendor, each) for each in vendor.legacy_charges}
    alike("settled by payment", _not_zero(here), _not_zero(there))
    alike("settled in all", _sum(here.values()), _sum(there.values()))


def _settled_here(payment: Row) -> Sums:
    done = {name: payment[name] for name in ("captured", "refunded")}
    return Counter({(payment["currency"], name): amount for name, amount in done.items() if amount})


def _settled_there(vendor: Vendor, paid: Row) -> Sums:
    """Tell what an intent or a legacy charge has taken, and what was given back of that."""
    kind = paid["object"]
    taken = paid["amount_received"] if kind == "payment_intent" else 0
    if kind == "charge" and paid["status"] == "succeeded":
        taken = paid["amount_captured"]
    back = sum(
        each["amount"]
        for each in vendor.refunds
        if each[kind] == paid["id"] and each["status"] == "succeeded"
    )
    done = {"captured": taken, "refunded": back}
    return Counter({(paid["currency"], name): amount for name, amount in done.items() if amount})


def _not_zero(sums: Mapping[str, Sums]) -> dict[str, Sums]:
    return {key: each for key, each in sums.items() if each}


def _sum(parts: Iterable[Sums]) -> Sums:
    total: Sums = Counter()
    for part in parts:
        total.update(part)
    return total


def check_payments_of_vendor(tables: Tables, vendor: Vendor) -> None:
    """Check that each intent at Stripe is known here, as that of its payment.

    So no payment has two, let alone two that succeeded; and no payment has two charges that did.
    """
    here = {
        (each["id"], each["stripe_payment_intent_id"])
        for each in tables["payments"]
        if each["stripe_payment_intent_id"]
    }
    there = [(each["metadata"].get(metadata.PAYMENT_ID), each["id"]) for each in vendor.intents]
    alike("intents", Counter(here), Counter(there))
    succeeded = Counter(
        each["payment_intent"] or each["metadata"].get(metadata.PAYMENT_ID)
        for each in vendor.charges
        if each["status"] == "succeeded"
    )
    twice = {payment: times for payment, times in succeeded.items() if times > 1}
    assert not twice, f"charges: {twice} have succeeded more than once"


def check_refunds(tables: Tables, vendor: Vendor) -> None:
    """Check that each refund at Stripe is known here once, with its amount and status."""
    here = [
        (each["stripe_refund_id"], each["amount"], each["status"].replace("cancelled", "canceled"))
        for each in tables["refunds"]
        if each["stripe_refund_id"]
    ]
    there = [(each["id"], each["amount"], each["status"]) for each in vendor.refunds]
    alike("refunds", Counter(here), Counter(there))
    ours = Counter(each["metadata"].get(metadata.REFUND_ID) for each in vendor.refunds)
    twice = {name: times for name, times in ours.items() if name and times > 1}
    assert not twice, f"refunds: {twice} were made more than once"


def check_disputes(tables: Tables, vendor: Vendor) -> None:
    """Check that each dispute at Stripe is known here once, with its status."""
    here = [(each["stripe_dispute_id"], each["status"]) for each in tables["disputes"]]
    there = [(each["id"], each["status"]) for each in vendor.disputes]
    alike("disputes", Counter(here), Counter(there))


def check_customers(tables: Tables, vendor: Vendor) -> None:
    """Check that each user is one customer at Stripe, and the one that is known here."""
    here = [
        (each["user_id"], each["stripe_customer_id"])
        for each in tables["customers"]
        if each["stripe_customer_id"]
    ]
    there = [(each["metadata"].get(metadata.USER_ID), each["id"]) for each in vendor.customers]
    alike("customers", Counter(here), Counter(there))


def check_methods(tables: Tables, vendor: Vendor) -> None:
    """Check that the methods that are attached at Stripe are the users' own here."""
    customers = {each["user_id"]: each["stripe_customer_id"] for each in tables["customers"]}
    here = [
        (each["stripe_payment_method_id"], customers[each["user_id"]])
        for each in tables["payment_methods"]
        if each["detach_time"] is None
    ]
    there = [(each["id"], each["customer"]) for each in vendor.methods]
    alike("methods", Counter(here), Counter(there))


def check_inbox(tables: Tables, vendor: Vendor) -> None:
    """Check that all that Stripe has told is kept, once, and what this release knows is applied."""
    kept = {each["vendor_event_id"]: each for each in tables["notifications"]}
    told = {each["id"] for each in vendor.events}
    # What moves a sandbox's clock is not among Stripe's events.
    ours = [each for each in kept if not kept[each]["type"].startswith("boxoffice.")]
    known = {each["id"] for each in vendor.events if each["type"] in HANDLED_TYPES}
    alike("notifications", Counter(set(ours) & known), Counter(known))
    assert set(ours) <= told, "notifications: some were never told"
    rows = tables["notifications"]
    alike("notifications kept", len(rows), len(kept))
    unread = {
        each["type"]
        for each in rows
        if each["state"] == NotificationState.PARKED and each["type"] in HANDLED_TYPES
    }
    # A setup that was made for nobody says nothing.
    assert not unread, f"notifications parked: {unread}"
    paid = {each["stripe_payment_intent_id"] for each in tables["payments"]}
    paid |= {each["stripe_charge_id"] for each in tables["payments"]}
    lost = [
        each["type"]
        for each in rows
        if each["state"] == NotificationState.UNRELATED and each["related_id"] in paid - {None}
    ]
    assert not lost, f"notifications unrelated: {lost}, though their payment is known"


def check_operations(tables: Tables) -> None:
    """Check that nobody holds what has ended."""
    held = [each for each in tables["operations"] if each["settled"] and each["owner"]]
    assert not held, f"operations held: {held}"


def check_orders(tables: Tables, told: Told) -> None:
    """Check that each change of an order is told of once, in order, and nothing else is."""
    orders = {each["id"]: each for each in tables["orders"]}
    alike("orders told of", {event.order.id for event in told.orders}, set(orders))
    for order_id, order in orders.items():
        events = [event for event in told.orders if event.order.id == order_id]
        _check_versions(order, [event.id for event in events])
        _check_changes([event.order for event in events], order_id)
        steps = [e.order.status for e in events if e.type != orders_pb2.ORDER_EVENT_TYPE_UPDATED]
        names = [orders_pb2.OrderStatus.Name(each) for each in steps]
        for before, after in pairwise(names):
            assert before != after, f"order {order_id} went through {names}"
        alike("status told last", _short(names[-1], "ORDER_STATUS_"), order["status"])


def check_payments(tables: Tables, told: Told) -> None:
    """Check that each change of a payment is told of once, in order, and nothing else is.

    And that an order is paid exactly where its payment took money, unless somebody said otherwise.
    """
    payments = {each["id"]: each for each in tables["payments"]}
    alike("payments told of", {event.payment.id for event in told.payments}, set(payments))
    for payment_id, payment in payments.items():
        events = [event for event in told.payments if event.payment.id == payment_id]
        _check_versions(payment, [event.id for event in events])
        _check_payment_changes(events)
        last = events[-1].payment
        name = payments_pb2.PaymentStatus.Name(last.status)
        alike("payment told last", _short(name, "PAYMENT_STATUS_"), payment["status"])
        sums = (last.captured_amount.amount, last.refunded_amount.amount)
        alike("sums told last", sums, (payment["captured"], payment["refunded"]))
    for order in tables["orders"]:
        captured = payments[order["payment_id"]]["captured"]
        taken = order["status"] in {
            OrderStatus.PAID,
            OrderStatus.TASK_STARTED,
            OrderStatus.REFUNDED,
        }
        assert order["manual"] != "[]" or taken == bool(captured), f"paid: {order} took {captured}"


def _check_payment_changes(events: Sequence[payments_pb2.PaymentEvent]) -> None:
    """Check that each event of a payment is news: of the payment, of a refund or of a dispute."""
    for before, after in pairwise(events):
        alone = not after.HasField("refund") and not after.HasField("dispute")
        if alone:
            _check_changes([before.payment, after.payment], after.payment.id)


def _check_changes(states: Sequence[Message], name: str) -> None:
    """Check that each state differs from the one before in more than its version."""
    bare = [_without(state, "etag", "update_time", "version") for state in states]
    for before, after in pairwise(bare):
        assert before != after, f"changes of {name}: an event tells of no change"


def _without(state: Message, *names: str) -> Message:
    bare = type(state)()
    bare.CopyFrom(state)
    for name in names:
        if name in bare.DESCRIPTOR.fields_by_name:
            bare.ClearField(name)
    return bare


def check_log(tables: Tables) -> None:
    """Check that the log is dense, and tells of each version of each subject once, in order."""
    (meta,) = tables["log_meta"]
    positions = [each["position"] for each in tables["log"]]
    alike("positions", positions, list(range(meta["earliest"], meta["head"] + 1)))
    for subject in tables["orders"] + tables["payments"] + tables["products"]:
        told = [each["event_id"] for each in tables["log"] if each["subject_id"] == subject["id"]]
        _check_versions(subject, told)


def _check_versions(subject: Row, event_ids: list[str]) -> None:
    """Check that a subject's events are those of all its versions: their ids follow from them."""
    versions = range(1, subject["version"] + 1)
    due = [hashed_id(Prefix.EVENT, subject["id"], str(version)) for version in versions]
    alike(f"events of {subject['id']}", event_ids, due)


def _short(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()


def alike(what: str, one: object, other: object) -> None:
    """Check that two books say the same; first what was found here, or told."""
    assert one == other, f"{what}: {one} is not {other}"

"""More of what is asked for: refunds, legacy charges, payment methods; and what customers do."""

from boxoffice.orders.v1 import orders_pb2
from boxoffice.payments.v1 import payments_pb2 as pb
from tests.crash.case import Case
from tests.crash.scenarios import (
    PART,
    Deal,
    an_intent,
    is_paid,
    new_card,
    order_of,
    saved_card,
    status_of,
)
from tests.support.calls import new_request_id, new_user, statuses_until
from tests.support.sales import create_product
from tests.support.service import wait_until

# -- refunds --------------------------------------------------------------------------------------


def paid_sale(case: Case) -> pb.CreatePaymentIntentResponse:
    """Make a sale that is paid."""
    made = an_intent(case, create_product(case.orders).id)
    case.account.press("pay", made.payment.stripe_payment_intent_id)
    is_paid(case, made.order.id)
    return made


def _refund(case: Case, amount: int | None) -> Deal:
    made = paid_sale(case)
    request = pb.RefundPaymentRequest(
        request_id=new_request_id(), payment_id=made.payment.id, amount=amount
    )

    def times() -> int:
        intent = made.payment.stripe_payment_intent_id
        refunds = case.account.everything("refunds", payment_intent=intent)
        wanted = amount or made.payment.amount.amount
        assert all(each["amount"] == wanted for each in refunds)
        return len(refunds)

    last = orders_pb2.ORDER_STATUS_TASK_STARTED if amount else orders_pb2.ORDER_STATUS_REFUNDED
    return Deal(
        method=lambda case: case.payments.RefundPayment,
        request=request,
        times=times,
        check=lambda: wait_until(
            lambda: order_of(case, made.order.user_id).status == last,
            "the order is not what its refund makes it",
        ),
    )


def refund(case: Case) -> Deal:
    """All that was paid is given back."""
    return _refund(case, None)


def refund_part(case: Case) -> Deal:
    """A part of what was paid is given back."""
    return _refund(case, PART)


# -- legacy charges -------------------------------------------------------------------------------


def _legacy_order(case: Case) -> orders_pb2.Order:
    case.point_webhooks(legacy=True)
    request = orders_pb2.CreateOrderRequest(
        request_id=new_request_id(), user_id=new_user(), product_id=create_product(case.orders).id
    )
    return case.orders.CreateOrder(request).order


def _source(case: Case, order: orders_pb2.Order) -> str:
    """Make a Source for an order, as a customer's device does, that can be charged at once."""
    form = {
        "type": "card",
        "token": "tok_visa",
        "amount": order.price.amount,
        "currency": order.price.currency_code,
        "metadata[boxoffice_order_id]": order.id,
        "metadata[boxoffice_user_id]": order.user_id,
    }
    return str(case.account.call("POST", "sources", **form)["id"])


def _charges_of(case: Case, order: orders_pb2.Order) -> int:
    charges = case.account.everything("charges")
    return sum(each["metadata"].get("boxoffice_order_id") == order.id for each in charges)


def _charged(case: Case, order_id: str) -> None:
    statuses = statuses_until(case.orders, order_id, orders_pb2.ORDER_STATUS_TASK_STARTED)
    assert statuses == ["created", "charge_created", "paid", "task_started"]


def charge(case: Case) -> Deal:
    """A Source is charged by a call, and Stripe's word that it can be comes only afterwards."""
    order = _legacy_order(case)
    case.account.stop_webhooks()
    source = _source(case, order)
    case.point_webhooks()
    (late,) = case.account.everything("events", type="source.chargeable")
    return Deal(
        method=lambda case: case.payments.CreateCharge,
        request=pb.CreateChargeRequest(
            request_id=new_request_id(), order_id=order.id, stripe_source_id=source
        ),
        times=lambda: _charges_of(case, order),
        act=lambda: case.account.sandbox.control(f"events/{late['id']}/redeliver", {}),
        check=lambda: _charged(case, order.id),
    )


def charge_by_itself(case: Case) -> Deal:
    """A Source is charged by the service because Stripe says that it can be."""
    order = _legacy_order(case)
    return Deal(
        trigger=lambda: _source(case, order),
        times=lambda: _charges_of(case, order),
        check=lambda: _charged(case, order.id),
    )


# -- payment methods ------------------------------------------------------------------------------


def set_up(case: Case) -> Deal:
    """A setup intent is made, with which the customer may save a card."""
    user = new_user()
    return Deal(
        method=lambda case: case.payments.CreateSetupIntent,
        request=pb.CreateSetupIntentRequest(request_id=new_request_id(), user_id=user),
        times=lambda: len(case.account.everything("setup_intents")),
    )


def save(case: Case) -> Deal:
    """A card of nobody's is saved for a user."""
    user, named = new_user(), new_card(case)
    return Deal(
        method=lambda case: case.payments.SavePaymentMethod,
        request=pb.SavePaymentMethodRequest(
            request_id=new_request_id(), user_id=user, stripe_payment_method_id=named, tags=["main"]
        ),
        times=lambda: int(bool(_customer_of(case, named))),
        check=lambda: wait_until(
            lambda: _saved(case, user) == [named], "the card is not the user's"
        ),
    )


def _customer_of(case: Case, stripe_payment_method_id: str) -> object:
    return case.account.call("GET", f"payment_methods/{stripe_payment_method_id}")["customer"]


def _saved(case: Case, user: str) -> list[str]:
    request = pb.ListPaymentMethodsRequest(user_id=user)
    listed = case.payments.ListPaymentMethods(request).payment_methods
    return [each.stripe_payment_method_id for each in listed]


def detach(case: Case) -> Deal:
    """A user's card is forgotten."""
    user, named = saved_card(case)
    return Deal(
        method=lambda case: case.payments.DetachPaymentMethod,
        request=pb.DetachPaymentMethodRequest(
            request_id=new_request_id(), user_id=user, stripe_payment_method_id=named
        ),
        times=lambda: int(not _customer_of(case, named)),
        check=lambda: wait_until(lambda: not _saved(case, user), "the card is still the user's"),
    )


def learn(case: Case) -> Deal:
    """A card that a setup intent has saved is read, as Stripe's first word does not show it."""
    user = new_user()
    request = pb.CreateSetupIntentRequest(request_id=new_request_id(), user_id=user)
    made = case.answered(lambda case: case.payments.CreateSetupIntent, request)

    def trigger() -> None:
        case.account.webhooks("hold")
        case.account.sandbox.control(f"setup_intents/{made.stripe_setup_intent_id}/setup", {})
        (first,) = [
            each["id"] for each in case.account.everything("events", type="setup_intent.succeeded")
        ]
        case.account.release([first])

    return Deal(
        trigger=trigger,
        times=lambda: int(bool(_saved(case, user))),
    )


# -- what customers do at Stripe ------------------------------------------------------------------


def payment_by_customer(case: Case) -> Deal:
    """The customer pays, and the service hears of it."""
    made = an_intent(case, create_product(case.orders).id)
    intent = made.payment.stripe_payment_intent_id
    return Deal(
        trigger=lambda: case.account.press("pay", intent),
        times=lambda: int(status_of(case, intent) == "succeeded"),
        check=lambda: is_paid(case, made.order.id),
    )

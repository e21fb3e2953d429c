"""The books are not right after everything that must never happen: whoever audits would notice."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from boxoffice.orders.v1 import orders_pb2
from tests.crash.case import Case
from tests.crash.lab import Lab
from tests.support.calls import statuses_until
from tests.support.sales import create_intent, create_product


class Sale:
    """A sale that was paid, and ways to do wrong to it."""

    def __init__(self, case: Case) -> None:
        self.case = case
        case.start()
        self.made = create_intent(case.payments, create_product(case.orders).id)
        case.account.press("pay", self.made.payment.stripe_payment_intent_id)
        statuses_until(case.orders, self.made.order.id, orders_pb2.ORDER_STATUS_TASK_STARTED)

    def change(self, statement: str, *values: object) -> None:
        """Change the store behind the service's back."""
        path = self.case.database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path)) as connection, connection:
            assert connection.execute(statement, values).rowcount == 1

    def make(self, kind: str, **form: object) -> None:
        """Make something at Stripe behind the service's back."""
        self.case.account.call("POST", kind, **form)


def money_here_alone(sale: Sale) -> None:
    """A payment took more than anybody paid."""
    sale.change("UPDATE payments SET captured = captured + 1")


def money_there_alone(sale: Sale) -> None:
    """Somebody has paid, and nobody knows."""
    sale.change("UPDATE payments SET captured = 0")


def given_back_here_alone(sale: Sale) -> None:
    """Money was given back that nobody has got."""
    sale.change("UPDATE payments SET refunded = 100")


def given_back_there_alone(sale: Sale) -> None:
    """Money was given back, and nobody knows."""
    sale.case.account.stop_webhooks()
    sale.make("refunds", payment_intent=sale.made.payment.stripe_payment_intent_id, amount=100)


def method_there_alone(sale: Sale) -> None:
    """A card was saved, and nobody knows."""
    sale.case.account.stop_webhooks()
    (customer,) = sale.case.account.everything("customers")
    sale.make("payment_methods/pm_card_visa/attach", customer=customer["id"])


def second_intent(sale: Sale) -> None:
    """Stripe was asked twice for one payment."""
    key = {"metadata[boxoffice_payment_id]": sale.made.payment.id}
    sale.make("payment_intents", amount=1250, currency="eur", **key)


def second_customer(sale: Sale) -> None:
    """Stripe was asked twice for one customer."""
    sale.make("customers", **{"metadata[boxoffice_user_id]": sale.made.payment.user_id})


def lost_notification(sale: Sale) -> None:
    """What was acknowledged is not there."""
    sale.change("DELETE FROM notifications WHERE type = 'payment_intent.created'")


def parked_notification(sale: Sale) -> None:
    """What could be read was not applied."""
    sale.change("UPDATE notifications SET state = 'parked' WHERE type = 'payment_intent.succeeded'")


def untold_change(sale: Sale) -> None:
    """An order was changed without an event."""
    sale.change("UPDATE orders SET version = version + 1")


def change_told_twice(sale: Sale) -> None:
    """A change of an order has two events."""
    sale.change("UPDATE orders SET version = version - 1")


def untold_change_of_payment(sale: Sale) -> None:
    """A payment was changed without an event."""
    sale.change("UPDATE payments SET version = version + 1")


def other_status_of_payment(sale: Sale) -> None:
    """A payment is not what was told last."""
    sale.change("UPDATE payments SET status = 'cancelled'")


def other_status(sale: Sale) -> None:
    """An order is not what was told last."""
    sale.change("UPDATE orders SET status = 'paid'")


def gap_in_the_log(sale: Sale) -> None:
    """An event was taken out of the log."""
    sale.change("DELETE FROM log WHERE position = 1")


def open_operation(sale: Sale) -> None:
    """A call was never answered, and nobody takes it up."""
    sale.change(
        "UPDATE operations SET answer = NULL, settled = false, lease_time = 9000000000000000 "
        "WHERE operation = 'CreatePaymentIntent'"
    )


def held_for_ever(sale: Sale) -> None:
    """A call was answered, and somebody still holds it."""
    sale.change("UPDATE operations SET owner = 'me' WHERE operation = 'CreatePaymentIntent'")


def waiting_notification(sale: Sale) -> None:
    """A notification is never applied."""
    sale.case.service.kill()
    sale.change("UPDATE notifications SET state = 'waiting' WHERE type = 'payment_intent.created'")


def unrelated_notification(sale: Sale) -> None:
    """A notification was put aside that speaks of a payment of ours."""
    intent = sale.made.payment.stripe_payment_intent_id
    sale.change(
        "UPDATE notifications SET state = 'unrelated', related_id = ? "
        "WHERE type = 'payment_intent.created'",
        intent,
    )


def unnumbered_event(sale: Sale) -> None:
    """An event never becomes visible."""
    sale.change("UPDATE log SET position = NULL WHERE position = 1")


WRONGS: dict[Callable[[Sale], None], str] = {
    money_here_alone: "settled by payment",
    money_there_alone: "settled by payment",
    given_back_here_alone: "settled by payment",
    given_back_there_alone: "settled by payment",
    method_there_alone: "methods",
    second_intent: "intents",
    second_customer: "customers",
    lost_notification: "notifications",
    parked_notification: "notifications parked",
    untold_change: "events of ord_",
    change_told_twice: "events of ord_",
    untold_change_of_payment: "events of pay_",
    other_status_of_payment: "payment told last",
    other_status: "status told last",
    gap_in_the_log: "positions",
    open_operation: "operations are left open",
    held_for_ever: "operations held",
    waiting_notification: "operations are left open, or events unnumbered, or notifications",
    unrelated_notification: "notifications unrelated",
    unnumbered_event: "operations are left open, or events unnumbered",
}


@pytest.mark.parametrize("wrong", WRONGS, ids=lambda wrong: wrong.__name__)
def test_wrong_is_noticed(lab: Lab, wrong: Callable[[Sale], None]) -> None:
    """The books of a sale are right, and after one thing that is wrong they are not."""
    with lab.case("sqlite") as case:
        sale = Sale(case)
        case.books().check()
        wrong(sale)
        with pytest.raises(AssertionError, match=f"^{WRONGS[wrong]}"):
            replace(case.books_now(), patience_seconds=0.1).check()

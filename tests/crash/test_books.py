"""The books are not right after everything that must never happen: whoever audits would notice."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from boxoffice.orders.v1 import orders_pb2
from tests.crash.lab import Case, Lab
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
    """A payment is complete that nobody has made."""
    sale.change("UPDATE payments SET amount = amount + 1")


def money_there_alone(sale: Sale) -> None:
    """Somebody has paid, and nobody knows."""
    sale.change("UPDATE payments SET status = 'requires_payment_method'")


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


def other_status(sale: Sale) -> None:
    """An order is not what was told last."""
    sale.change("UPDATE orders SET status = 'paid'")


def gap_in_the_log(sale: Sale) -> None:
    """An event was taken out of the log."""
    sale.change("DELETE FROM log WHERE position = 1")


def open_operation(sale: Sale) -> None:
    """A call was never answered, and nobody takes it up."""
    sale.change("UPDATE operations SET answer = NULL WHERE operation = 'CreatePaymentIntent'")


def unnumbered_event(sale: Sale) -> None:
    """An event never becomes visible."""
    sale.change("UPDATE log SET position = NULL WHERE position = 1")


WRONGS: dict[Callable[[Sale], None], str] = {
    money_here_alone: "settled by intent",
    money_there_alone: "settled by intent",
    second_intent: "intents",
    second_customer: "customers",
    lost_notification: "notifications",
    parked_notification: "notifications parked",
    untold_change: "events of ord_",
    change_told_twice: "events of ord_",
    other_status: "status told last",
    gap_in_the_log: "positions",
    open_operation: "operations are left open",
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
            replace(case.books(), patience_seconds=0.1).check()

"""A product, a payment, a person who pays, and a watcher who sees it: through whole processes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from boxoffice.payments.v1 import payments_pb2
from tests.support.processes import Process
from tests.support.serving import Service
from tests.support.story import Client, Story


@pytest.mark.parametrize(
    ("currency", "method_type"),
    [
        ("usd", payments_pb2.PAYMENT_METHOD_TYPE_CARD),
        ("eur", payments_pb2.PAYMENT_METHOD_TYPE_BANCONTACT),
    ],
    ids=["usd by card", "eur by bancontact"],
)
def test_a_sale_ends_task_started(
    service: Service, currency: str, method_type: "payments_pb2.PaymentMethodType.ValueType"
) -> None:
    """A watcher sees created, paid and task_started, each once."""
    with (
        Client(service) as client,
        Story(client, currency=currency, method_type=method_type) as story,
    ):
        story.tell()
        story.check()


@pytest.mark.parametrize(
    ("currency", "method_type"),
    [("usd", "PAYMENT_METHOD_TYPE_CARD"), ("eur", "PAYMENT_METHOD_TYPE_BANCONTACT")],
)
def test_a_sale_by_hand(on_sqlite: Service, currency: str, method_type: str) -> None:
    """Nothing but grpcurl, and the button in the sandbox pressed from a shell."""
    prices = [{"amount": 1000, "currency_code": "eur"}, {"amount": 1200, "currency_code": "usd"}]
    product = grpcurl(
        on_sqlite,
        "orders.v1.OrdersService/CreateProduct",
        {"request_id": f"product {currency}", "product": {"name": "Exam", "prices": prices}},
    )["product"]
    made = grpcurl(
        on_sqlite,
        "payments.v1.PaymentsService/CreatePaymentIntent",
        {
            "request_id": f"payment {currency}",
            "user_id": "by-hand",
            "product_id": product["id"],
            "currency_code": currency,
            "payment_method_type": method_type,
        },
    )
    wanted = {"order_id": made["order"]["id"], "start_position": "START_POSITION_EARLIEST"}
    with Process(command(on_sqlite, "orders.v1.OrdersService/WatchOrders", wanted)) as watching:
        watching.wait_for('"caught_up"')
        sandbox = on_sqlite.stripe.sandbox.url
        intent_id = made["payment"]["stripe_payment_intent_id"]
        pressed = subprocess.run(
            [BIN / "boxoffice-sandbox", "pay", intent_id, "--sandbox", sandbox],
            capture_output=True,
            text=True,
            check=True,
        )
        assert pressed.stdout.endswith(" succeeded\n")
        watching.wait_for('"status": "ORDER_STATUS_TASK_STARTED"')
        seen = watching.output
    places = [seen.index(f'"status": "ORDER_STATUS_{each}"') for each in STEPS]
    assert places == sorted(places)


STEPS = ("CREATED", "PAID", "TASK_STARTED")
BIN = Path(sys.executable).parent


def command(service: Service, method: str, request: object) -> list[str]:
    """A call as it is typed."""
    options = ["-plaintext", "-d", json.dumps(request)]
    return [str(BIN / "grpcurl"), *options, service.grpc_address, f"boxoffice.{method}"]


def grpcurl(service: Service, method: str, request: object) -> Any:  # noqa: ANN401 -- JSON
    """Make a call by grpcurl."""
    called = subprocess.run(
        command(service, method, request), capture_output=True, text=True, check=False
    )
    assert called.returncode == 0, called.stderr
    return json.loads(called.stdout)

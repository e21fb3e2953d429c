"""Two services on one database: the same request at either is one, whoever began it."""

from collections.abc import Iterator
from datetime import timedelta

import grpc
import pytest

from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from boxoffice_server.vendors.stripe.client import Patience
from tests.support.calls import new_user, refused
from tests.support.desk import Desk, charge_request, euros, refund_request
from tests.support.money import CALLS
from tests.support.service import Account, running_service

pytestmark = pytest.mark.parametrize("store", ["postgresql"], indirect=True, scope="module")

REPEATS = 1


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@pytest.fixture(scope="module")
def timings() -> Timings:
    """A gateway that gives up soon, and a janitor that never comes while a test runs."""
    return Timings(
        look_every=timedelta(minutes=5), patience=Patience(pauses=(timedelta(),) * REPEATS)
    )


@pytest.fixture(scope="module")
def other(desk: Desk, account: Account, database_url: str, timings: Timings) -> Iterator[Desk]:
    """A cash desk at the other service."""
    environment = {
        "BOXOFFICE_STRIPE_API_KEY": account.key,
        "BOXOFFICE_STRIPE_API_BASE": account.sandbox.stripe_api_base,
    }
    with (
        running_service(database_url, timings=timings, **environment) as service,
        grpc.insecure_channel(service.grpc_address) as channel,
    ):
        yield Desk(
            orders=OrdersServiceStub(channel),
            payments=PaymentsServiceStub(channel),
            account=account,
        )


@pytest.fixture(autouse=True)
def silent(account: Account) -> Iterator[None]:
    """No notification helps; the account may still use Sources."""
    account.sandbox.control(f"accounts/{account.key}", {"legacy": True})
    account.wait_delivered()
    account.webhooks("drop")
    yield
    account.webhooks("normal")


def method_of(desk: Desk, other: Desk, name: str) -> "grpc.UnaryUnaryMultiCallable[object, object]":
    """The same RPC at the other service."""
    rpc = name.split(maxsplit=1)[0]
    stub = other.orders if rpc == "CancelOrder" else other.payments
    method: grpc.UnaryUnaryMultiCallable[object, object] = getattr(stub, rpc)
    return method


@pytest.mark.parametrize("name", CALLS)
def test_equal_calls_at_both_are_one(desk: Desk, other: Desk, name: str) -> None:
    """Sixteen at each: one effect, one answer."""
    call = CALLS[name](desk)
    there = method_of(desk, other, name)
    calls = [rpc.future(call.request) for _ in range(16) for rpc in (call.rpc, there)]
    answers = [each.result() for each in calls]
    assert all(answer == answers[0] for answer in answers)
    assert len(call.effects()) == 1


@pytest.mark.parametrize("fault", ["reset_after", "reset_before"])
@pytest.mark.parametrize("name", CALLS)
def test_what_one_left_unknown_the_other_finds_out(
    desk: Desk, other: Desk, account: Account, name: str, fault: str
) -> None:
    """By reading first; and then the first one has the same answer."""
    call = CALLS[name](desk)
    account.fault(fault, call.path, times=REPEATS + 1)
    with refused(Reason.OUTCOME_UNKNOWN):
        call.make()
    answer = method_of(desk, other, name)(call.request)
    assert call.make() == answer
    assert len(call.effects()) == 1


@pytest.mark.parametrize("name", ["ChargeUser", "RefundPayment"])
def test_retry_at_the_other_waits_for_the_first(
    desk: Desk, other: Desk, account: Account, name: str
) -> None:
    """The first is still asking Stripe when the caller tries the other service."""
    call = CALLS[name](desk)
    account.fault("latency", call.path, seconds=0.5)
    first = call.rpc.future(call.request)
    account.wait_struck()
    second = method_of(desk, other, name)(call.request)
    assert first.result() == second
    assert len(call.effects()) == 1


def test_refunds_at_both_never_exceed_the_payment(
    desk: Desk, other: Desk, account: Account
) -> None:
    """Sixteen at each, of 60 of 100: one is made."""
    payment = desk.charged(new_user(), 10_000)
    calls = [
        each.payments.RefundPayment.future(refund_request(payment.id, amount=6_000))
        for _ in range(16)
        for each in (desk, other)
    ]
    done = [call for call in calls if call.exception() is None]
    assert len(done) == 1
    assert other.payment(payment.id).refunded_amount == euros(6_000)
    there = account.everything("refunds", payment_intent=payment.stripe_payment_intent_id)
    assert [each["amount"] for each in there] == [6_000]


def test_method_that_was_saved_at_one_is_charged_at_the_other(desk: Desk, other: Desk) -> None:
    """Nothing is kept in a process."""
    user = new_user()
    method = desk.save(user)
    request = charge_request(user, payment_method_id=method.id)
    paid = other.payments.ChargeUser(request)
    assert desk.payments.ChargeUser(request) == paid
    assert desk.payment(paid.payment.id) == paid.payment

"""A sale is struck at every moment of CreatePaymentIntent and of the notification that pays it."""

from concurrent.futures import Future

import grpc
import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice_server.fail_points import FailPoint
from tests.crash.lab import Case
from tests.crash.trials import OF_NOTIFICATIONS, OF_OPERATIONS, Trial, trials
from tests.support.calls import ended, statuses_until
from tests.support.sales import create_product, intent_request
from tests.support.strikes import Deed, Plan

# How a call ends that is struck, as its caller sees it: never as if the payment had failed.
STRUCK = {
    Deed.CRASH: grpc.StatusCode.UNAVAILABLE,
    Deed.ERROR: grpc.StatusCode.UNAVAILABLE,
    Deed.FAULT: grpc.StatusCode.INTERNAL,
    Deed.HANG: grpc.StatusCode.UNAVAILABLE,
}


def struck_call(case: Case, plan: Plan) -> None:
    """The call is struck, and its caller sends the same request until it is answered.

    Until then the vendor tells nothing, so that the answer has to be found without its help.
    """
    case.account.webhooks("hold")
    request = intent_request(create_product(case.orders).id)
    struck = case.strike(plan, lambda: case.payments.CreatePaymentIntent(request))
    check_struck(struck, plan)
    made = ask(case, request)
    case.account.webhooks("normal")
    case.account.release()
    pay(case, made.payment)
    check_sale(case, request, made)


def overtaken_call(case: Case, plan: Plan) -> None:
    """What the vendor tells of the intent is kept while its answer to the call is held."""
    request = intent_request(create_product(case.orders).id)
    struck = case.strike(
        plan,
        lambda: case.payments.CreatePaymentIntent(request),
        meanwhile=case.account.wait_delivered,
    )
    check_struck(struck, plan)
    made = ask(case, request)
    pay(case, made.payment)
    check_sale(case, request, made)


def struck_notification(case: Case, plan: Plan) -> None:
    """What the vendor tells is struck, and it tells again until it is answered."""
    request = intent_request(create_product(case.orders).id)
    made = ask(case, request)
    case.strike(plan, lambda: pay(case, made.payment)).result()
    check_sale(case, request, made)


def check_struck(
    struck: Future[pb.CreatePaymentIntentResponse],
    plan: Plan,
) -> None:
    """The caller of a call that was struck knows that nothing is known."""
    error = struck.exception()
    assert isinstance(error, grpc.RpcError)
    assert ended(error).code() is STRUCK[plan.deed]


def ask(case: Case, request: pb.CreatePaymentIntentRequest) -> pb.CreatePaymentIntentResponse:
    """Ask for the intent until there is an answer, and once more: it stays the same."""
    answers = [
        case.answered(lambda case: case.payments.CreatePaymentIntent, request) for _ in range(2)
    ]
    assert answers[0] == answers[1]
    made = answers[0]
    assert isinstance(made, pb.CreatePaymentIntentResponse)
    return made


def pay(case: Case, payment: pb.Payment) -> None:
    """The customer pays."""
    case.account.press("pay", payment.stripe_payment_intent_id)


def check_sale(
    case: Case, request: pb.CreatePaymentIntentRequest, made: pb.CreatePaymentIntentResponse
) -> None:
    """The sale goes on to its end, its answer is what it was, and the books are right."""
    statuses = statuses_until(case.orders, made.order.id, orders_pb2.ORDER_STATUS_TASK_STARTED)
    assert statuses == ["created", "paid", "task_started"]
    made.client_secret = ""
    assert ask(case, request) == made
    case.books().check()


@pytest.mark.parametrize(
    "trial",
    [
        *trials(struck_call, "CreatePaymentIntent", OF_OPERATIONS),
        *trials(overtaken_call, "CreatePaymentIntent", [FailPoint.ASKED], [Deed.HANG]),
        *trials(struck_notification, "payment_intent.succeeded", OF_NOTIFICATIONS),
    ],
    ids=str,
)
def test_a_struck_sale_happens_once(trial: Trial, outcomes: dict[Trial, Future[None]]) -> None:
    """There is one order, one intent, one answer, and each change is told of once."""
    outcomes[trial].result()

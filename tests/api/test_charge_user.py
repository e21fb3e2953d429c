"""ChargeUser: a saved method is charged at once, without an order; OK only if money was taken."""

import pytest

from boxoffice.common.v1.money_pb2 import Money
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import Refusal, new_request_id, new_user, refused, refused_field
from tests.support.desk import Desk, charge_request, euros, status_name
from tests.support.service import Account

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


def history(payments: PaymentsServiceStub, user_id: str) -> list[pb.Payment]:
    """A user's payments, newest first."""
    return list(payments.ListPayments(pb.ListPaymentsRequest(user_id=user_id)).payments)


def test_exam_of_30_euros_is_charged(
    grpc_stub: PaymentsServiceStub, desk: Desk, account: Account
) -> None:
    """By Stripe's id of a method that ListPaymentMethods told: the money is there at once."""
    user = new_user()
    desk.save(user)
    (method,) = desk.methods(user)
    request = charge_request(
        user,
        amount=euros(3000),
        description="Wellness exam",
        stripe_payment_method_id=method.stripe_payment_method_id,
    )
    answer = grpc_stub.ChargeUser(request)
    payment = answer.payment
    assert status_name(payment) == "complete"
    assert payment.amount == payment.captured_amount == euros(3000)
    assert (payment.user_id, payment.order_id) == (user, "")
    assert (payment.description, payment.payment_method_id) == ("Wellness exam", method.id)
    assert payment.payment_method_type == pb.PAYMENT_METHOD_TYPE_CARD
    intent = account.call("GET", f"payment_intents/{payment.stripe_payment_intent_id}")
    assert (intent["status"], intent["amount_received"]) == ("succeeded", 3000)
    assert (intent["currency"], intent["description"]) == ("eur", "Wellness exam")
    assert intent["metadata"] == {"boxoffice_payment_id": payment.id, "boxoffice_user_id": user}
    assert payment.stripe_charge_id == intent["latest_charge"]
    assert desk.got(payment.id).client_secret == ""
    account.wait_delivered()
    known = desk.payment(payment.id)
    assert status_name(known) == "complete"
    assert known.captured_amount == euros(3000)


def test_history_tells_every_payment_whatever_became_of_it(
    grpc_stub: PaymentsServiceStub, desk: Desk, account: Account
) -> None:
    """Newest first: status, description, amount, date and Stripe's id of each."""
    user = new_user()
    good, poor, strict = (
        desk.save(user, card) for card in ("visa", "chargeCustomerFail", "authenticationRequired")
    )
    taken = grpc_stub.ChargeUser(
        charge_request(user, amount=euros(20000), description="one", payment_method_id=good.id)
    ).payment
    with refused(Reason.CARD_DECLINED):
        grpc_stub.ChargeUser(
            charge_request(user, amount=euros(200), description="two", payment_method_id=poor.id)
        )
    with refused(Reason.AUTHENTICATION_REQUIRED):
        grpc_stub.ChargeUser(
            charge_request(user, amount=euros(300), description="", payment_method_id=strict.id)
        )
    sale = desk.intended({"user_id": user, "description": "four"})
    account.wait_delivered()
    told = history(grpc_stub, user)
    assert [
        (status_name(each), each.description, each.amount.amount, bool(each.order_id))
        for each in told
    ] == [
        ("requires_payment_method", "four", 1250, True),
        ("requires_action", "", 300, False),
        ("requires_payment_method", "two", 200, False),
        ("complete", "one", 20000, False),
    ]
    assert (told[0].id, told[3].id) == (sale.payment.id, taken.id)
    intents = {each["id"] for each in account.intents_of(user)}
    assert {each.stripe_payment_intent_id for each in told} == intents
    for each in told:
        assert each.HasField("create_time")


def test_decline_is_told_with_the_payment_and_the_banks_words(
    grpc_stub: PaymentsServiceStub, desk: Desk, account: Account
) -> None:
    """FAILED_PRECONDITION; the payment stays, to be finished with another card on session."""
    user = new_user()
    method = desk.save(user, "chargeCustomerFail")
    with refused(Reason.CARD_DECLINED) as refusal:
        grpc_stub.ChargeUser(charge_request(user, payment_method_id=method.id))
    assert set(refusal.metadata) == {"payment_id", "vendor_code", "vendor_decline_code"}
    assert refusal.metadata["vendor_code"] == "card_declined"
    assert refusal.metadata["vendor_decline_code"] == "generic_decline"
    assert "Your card was declined." in refusal.message
    got = desk.got(refusal.metadata["payment_id"])
    assert status_name(got.payment) == "requires_payment_method"
    assert got.payment.last_error.code == "card_declined"
    assert got.payment.last_error.decline_code == "generic_decline"
    assert got.payment.stripe_charge_id == ""
    assert got.client_secret
    assert desk.pay(got.payment).captured_amount == euros(3000)
    assert len(account.intents_of(user)) == 1


def test_bank_that_asks_for_the_customer_has_not_declined(
    grpc_stub: PaymentsServiceStub, desk: Desk
) -> None:
    """AUTHENTICATION_REQUIRED: the customer finishes the same payment with its secret."""
    user = new_user()
    method = desk.save(user, "authenticationRequired")
    with refused(Reason.AUTHENTICATION_REQUIRED) as refusal:
        grpc_stub.ChargeUser(charge_request(user, payment_method_id=method.id))
    payment_id = refusal.metadata["payment_id"]
    assert refusal.metadata["vendor_code"] == "authentication_required"
    got = desk.got(payment_id)
    assert status_name(got.payment) == "requires_action"
    assert got.client_secret.startswith(got.payment.stripe_payment_intent_id)
    waits = got.payment.action_deadline.ToSeconds() - got.payment.create_time.ToSeconds()
    assert abs(waits - 23 * 3600) <= 2
    card = "authenticationRequired"
    finished = desk.pay(got.payment, card)
    assert (finished.id, finished.HasField("action_deadline")) == (payment_id, False)


def declined(
    payments: PaymentsServiceStub, request: pb.ChargeUserRequest, reason: Reason
) -> Refusal:
    """Make a charge that fails."""
    with refused(reason) as refusal:
        payments.ChargeUser(request)
    return refusal


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("chargeCustomerFail", Reason.CARD_DECLINED),
        ("authenticationRequired", Reason.AUTHENTICATION_REQUIRED),
    ],
)
def test_failure_is_replayed_as_it_was_told_first(
    grpc_stub: PaymentsServiceStub, desk: Desk, account: Account, card: str, reason: Reason
) -> None:
    """Also after the customer has finished the payment; the bank is not asked again."""
    user = new_user()
    request = charge_request(user, payment_method_id=desk.save(user, card).id)
    first = declined(grpc_stub, request, reason)
    assert declined(grpc_stub, request, reason) == first
    desk.pay(desk.payment(first.metadata["payment_id"]))
    assert declined(grpc_stub, request, reason) == first
    charges = [
        each["status"]
        for each in account.everything("charges")
        if each["metadata"]["boxoffice_user_id"] == user
    ]
    assert charges == ["succeeded", "failed"]


def test_success_is_replayed_byte_for_byte(
    grpc_stub: PaymentsServiceStub, desk: Desk, account: Account
) -> None:
    """One charge, one answer, although the payment has been refunded since."""
    user = new_user()
    request = charge_request(user, payment_method_id=desk.save(user).id)
    first = grpc_stub.ChargeUser(request).SerializeToString(deterministic=True)
    payment = history(grpc_stub, user)[0]
    grpc_stub.RefundPayment(
        pb.RefundPaymentRequest(request_id=new_request_id(), payment_id=payment.id)
    )
    assert grpc_stub.ChargeUser(request).SerializeToString(deterministic=True) == first
    assert len(account.intents_of(user)) == 1


def test_currency_is_eur_where_none_is_given_and_any_of_stripes_otherwise(
    grpc_stub: PaymentsServiceStub, desk: Desk
) -> None:
    """The amount is in the currency's own minor unit."""
    user = new_user()
    method = desk.save(user)
    for amount, told in (
        (Money(amount=500), euros(500)),
        (Money(amount=5000, currency_code="jpy"), Money(amount=5000, currency_code="jpy")),
    ):
        request = charge_request(user, amount=amount, payment_method_id=method.id)
        payment = grpc_stub.ChargeUser(request).payment
        assert payment.amount == payment.captured_amount == told


def test_most_that_can_be_charged_is_charged(grpc_stub: PaymentsServiceStub, desk: Desk) -> None:
    """Eight digits in the minor unit."""
    user = new_user()
    method = desk.save(user)
    request = charge_request(user, amount=euros(99_999_999), payment_method_id=method.id)
    assert grpc_stub.ChargeUser(request).payment.captured_amount == euros(99_999_999)


def test_amount_below_stripes_least_is_refused_for_good(
    grpc_stub: PaymentsServiceStub, desk: Desk
) -> None:
    """In Stripe's words; the payment is in the history, cancelled."""
    user = new_user()
    method = desk.save(user)
    with refused(Reason.VENDOR_REFUSED) as refusal:
        grpc_stub.ChargeUser(charge_request(user, amount=euros(1), payment_method_id=method.id))
    assert refusal.metadata["vendor_code"] == "amount_too_small"
    (payment,) = history(grpc_stub, user)
    assert payment.id == refusal.metadata["payment_id"]
    assert status_name(payment) == "cancelled"


def test_only_the_users_own_method_is_charged(
    grpc_stub: PaymentsServiceStub, desk: Desk, account: Account
) -> None:
    """By either id; nothing is recorded, and nothing reaches Stripe."""
    owner, thief = new_user(), new_user()
    method = desk.save(owner)
    for named in (
        {"payment_method_id": method.id},
        {"stripe_payment_method_id": method.stripe_payment_method_id},
        {"payment_method_id": "pmt_none"},
        {"stripe_payment_method_id": "pm_none"},
        {"stripe_payment_method_id": desk.card()},
    ):
        with refused(Reason.PAYMENT_METHOD_NOT_FOUND) as refusal:
            grpc_stub.ChargeUser(charge_request(thief, **named))
        assert refusal.metadata == {"payment_method_id": next(iter(named.values()))}
    assert history(grpc_stub, thief) == []
    assert account.intents_of(thief) == []


def test_method_that_stripe_knows_first_is_charged_by_its_id(
    grpc_stub: PaymentsServiceStub, desk: Desk, account: Account
) -> None:
    """Attached to the user's own customer, and not told of yet: it is read from Stripe."""
    user = new_user()
    desk.save(user)
    account.wait_delivered()
    customer = grpc_stub.GetCustomer(pb.GetCustomerRequest(user_id=user)).customer
    account.webhooks("drop")
    card = desk.card("mastercard")
    account.call("POST", f"payment_methods/{card}/attach", customer=customer.stripe_customer_id)
    account.webhooks("normal")
    paid = grpc_stub.ChargeUser(charge_request(user, stripe_payment_method_id=card)).payment
    assert status_name(paid) == "complete"
    assert desk.methods(user)[0].id == paid.payment_method_id


BAD_FIELDS: dict[str, tuple[dict[str, object], str]] = {
    "no request id": ({"request_id": ""}, "request_id"),
    "no user": ({"user_id": ""}, "user_id"),
    "nothing": ({"amount": euros(0)}, "amount.amount"),
    "less than nothing": ({"amount": euros(-1)}, "amount.amount"),
    "too much": ({"amount": euros(100_000_000)}, "amount.amount"),
    "no amount": ({"amount": None}, "amount.amount"),
    "capitals": ({"amount": Money(amount=100, currency_code="EUR")}, "amount.currency_code"),
    "long description": ({"description": "d" * 501}, "description"),
    "no method": ({"payment_method_id": None}, "payment_method"),
    "empty method": ({"payment_method_id": ""}, "payment_method_id"),
    "long method": ({"payment_method_id": "p" * 65}, "payment_method_id"),
    "long method of Stripe's": (
        {"payment_method_id": None, "stripe_payment_method_id": "p" * 256},
        "stripe_payment_method_id",
    ),
}


@pytest.mark.parametrize(("fields", "field"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_bad_field_is_refused(
    grpc_stub: PaymentsServiceStub, fields: dict[str, object], field: str
) -> None:
    """The field that is at fault is named."""
    asked = {"payment_method_id": "pmt_1"} | fields
    with refused_field(field):
        grpc_stub.ChargeUser(charge_request(**({"user_id": new_user()} | asked)))  # type: ignore[arg-type]

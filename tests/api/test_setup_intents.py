"""CreateSetupIntent: a customer saves a payment method without paying."""

import pytest

from boxoffice.payments.v1 import payment_methods_pb2
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import new_request_id, new_user, refused, refused_field
from tests.support.desk import Desk
from tests.support.service import Account, wait_until

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)

ON_SESSION, OFF_SESSION = (
    pb.PAYMENT_METHOD_REUSE_ON_SESSION,
    pb.PAYMENT_METHOD_REUSE_OFF_SESSION,
)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


def setup_request(user_id: str, **fields: object) -> pb.CreateSetupIntentRequest:
    """Ask for a setup intent, under a new request id."""
    return pb.CreateSetupIntentRequest(
        request_id=new_request_id(),
        user_id=user_id,
        **fields,  # type: ignore[arg-type]  # a field's value each
    )


def saved(desk: Desk, user_id: str) -> payment_methods_pb2.PaymentMethod:
    """Wait for the one payment method of a user."""
    wait_until(lambda: len(desk.methods(user_id)) > 0, "the method is not there")
    (method,) = desk.methods(user_id)
    return method


def test_customer_saves_a_card_and_it_is_listed(
    grpc_stub: PaymentsServiceStub, desk: Desk, account: Account
) -> None:
    """The device gets the secret, the customer gives a card, and nobody has to save it by hand."""
    user = new_user()
    made = grpc_stub.CreateSetupIntent(setup_request(user))
    assert made.client_secret.startswith(f"{made.stripe_setup_intent_id}_secret_")
    assert desk.methods(user) == []
    done = desk.press(f"setup_intents/{made.stripe_setup_intent_id}", "setup", card="mastercard")
    method = saved(desk, user)
    assert method.stripe_payment_method_id == done["payment_method"]
    assert method.id.startswith("pmt_")
    assert (method.user_id, method.type, method.brand) == (user, "card", "mastercard")
    assert (method.last4, 1 <= method.exp_month <= 12) == ("4444", True)
    card = account.call("GET", f"payment_methods/{done['payment_method']}")["card"]
    assert (method.exp_month, method.exp_year) == (card["exp_month"], card["exp_year"])


def test_what_stripe_is_asked_for(grpc_stub: PaymentsServiceStub, account: Account) -> None:
    """Usage, type, customer, and metadata that leads back to the user; off session by default."""
    user = new_user()
    first = grpc_stub.CreateSetupIntent(setup_request(user))
    second = grpc_stub.CreateSetupIntent(setup_request(user, setup_payment_method_reuse=ON_SESSION))
    intents = [
        account.call("GET", f"setup_intents/{each.stripe_setup_intent_id}")
        for each in (first, second)
    ]
    assert [each["usage"] for each in intents] == ["off_session", "on_session"]
    for intent in intents:
        assert intent["payment_method_types"] == ["card"]
        assert intent["metadata"] == {"boxoffice_user_id": user}
    customer = grpc_stub.GetCustomer(pb.GetCustomerRequest(user_id=user)).customer
    assert {each["customer"] for each in intents} == {customer.stripe_customer_id}


def test_card_that_asks_for_its_holder_is_saved_for_use_without_them(
    grpc_stub: PaymentsServiceStub, desk: Desk
) -> None:
    """3-D Secure at the setup is what later payments off session rest on."""
    user = new_user()
    made = grpc_stub.CreateSetupIntent(setup_request(user))
    desk.press(
        f"setup_intents/{made.stripe_setup_intent_id}",
        "setup",
        card="authenticationRequiredOnSetup",
    )
    method = saved(desk, user)
    request = pb.ChargeUserRequest(
        request_id=new_request_id(), user_id=user, payment_method_id=method.id
    )
    request.amount.amount = 500
    assert grpc_stub.ChargeUser(request).payment.status == pb.PAYMENT_STATUS_COMPLETE


@pytest.mark.parametrize("heard", ["payment_method.attached", "setup_intent.succeeded"])
def test_either_of_stripes_two_words_is_enough(
    grpc_stub: PaymentsServiceStub, desk: Desk, account: Account, heard: str
) -> None:
    """The other one is lost; the method is read from Stripe where only its id was told."""
    user = new_user()
    made = grpc_stub.CreateSetupIntent(setup_request(user))
    account.wait_delivered()
    account.webhooks("hold")
    done = desk.press(f"setup_intents/{made.stripe_setup_intent_id}", "setup", card="visa")
    (event,) = [
        each["id"]
        for each in account.everything("events", type=heard)
        if done["payment_method"] in (each["data"]["object"]["id"], _method_of(each))
    ]
    account.release([event])
    method = saved(desk, user)
    assert method.stripe_payment_method_id == done["payment_method"]
    assert (method.brand, method.last4) == ("visa", "4242")
    account.release()
    account.webhooks("normal")
    account.wait_delivered()
    assert desk.methods(user) == [method]


def _method_of(event: dict[str, dict[str, dict[str, object]]]) -> object:
    return event["data"]["object"].get("payment_method")


def test_declined_setup_saves_nothing_and_may_be_tried_again(
    grpc_stub: PaymentsServiceStub, desk: Desk, account: Account
) -> None:
    """The same setup intent takes another card."""
    user = new_user()
    made = grpc_stub.CreateSetupIntent(setup_request(user))
    desk.press(f"setup_intents/{made.stripe_setup_intent_id}", "decline")
    account.wait_delivered()
    assert desk.methods(user) == []
    desk.press(f"setup_intents/{made.stripe_setup_intent_id}", "setup")
    assert saved(desk, user).brand == "visa"


def test_replay_reads_the_secret_again(grpc_stub: PaymentsServiceStub, account: Account) -> None:
    """The same request answers the same intent and secret, which is kept nowhere."""
    request = setup_request(new_user())
    made = grpc_stub.CreateSetupIntent(request)
    account.fault("status", "/v1/setup_intents", status=503, method="GET", times=4)
    with refused(Reason.VENDOR_UNAVAILABLE):
        grpc_stub.CreateSetupIntent(request)
    account.wait_struck()
    assert grpc_stub.CreateSetupIntent(request) == made
    assert len(account.everything("setup_intents")) >= 1


def test_lost_answer_leaves_one_setup_intent_to_be_used(
    grpc_stub: PaymentsServiceStub, account: Account
) -> None:
    """The gateway asks again under the same key."""
    before = len(account.everything("setup_intents"))
    account.fault("reset_after", "/v1/setup_intents")
    grpc_stub.CreateSetupIntent(setup_request(new_user()))
    assert len(account.everything("setup_intents")) == before + 1


@pytest.mark.parametrize("reuse", [0, ON_SESSION, OFF_SESSION])
@pytest.mark.parametrize(
    "type_",
    [
        pb.PAYMENT_METHOD_TYPE_BANCONTACT,
        pb.PAYMENT_METHOD_TYPE_GIROPAY,
        pb.PAYMENT_METHOD_TYPE_IDEAL,
    ],
)
def test_redirect_method_can_not_be_saved(
    grpc_stub: PaymentsServiceStub, type_: pb.PaymentMethodType.ValueType, reuse: int
) -> None:
    """It pays once; the refusal says why, and leaves no customer behind."""
    user = new_user()
    with refused(Reason.PAYMENT_METHOD_NOT_REUSABLE) as refusal:
        grpc_stub.CreateSetupIntent(
            setup_request(user, payment_method_type=type_, setup_payment_method_reuse=reuse)
        )
    name = pb.PaymentMethodType.Name(type_).removeprefix("PAYMENT_METHOD_TYPE_").lower()
    assert refusal.metadata == {"payment_method_type": name}
    assert name in refusal.message
    with refused(Reason.CUSTOMER_NOT_FOUND):
        grpc_stub.GetCustomer(pb.GetCustomerRequest(user_id=user))


BAD_FIELDS: dict[str, tuple[dict[str, object], str]] = {
    "no user": ({"user_id": ""}, "user_id"),
    "user of 65": ({"user_id": "u" * 65}, "user_id"),
    "unknown type": ({"payment_method_type": 99}, "payment_method_type"),
    "unknown reuse": ({"setup_payment_method_reuse": 99}, "setup_payment_method_reuse"),
    "no request id": ({"request_id": ""}, "request_id"),
}


@pytest.mark.parametrize(("fields", "field"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_bad_field_is_refused(
    grpc_stub: PaymentsServiceStub, fields: dict[str, object], field: str
) -> None:
    """The field that is at fault is named."""
    asked = {"request_id": new_request_id(), "user_id": new_user()} | fields
    with refused_field(field):
        grpc_stub.CreateSetupIntent(pb.CreateSetupIntentRequest(**asked))  # type: ignore[arg-type]

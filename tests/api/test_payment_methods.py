"""Saved payment methods: saved, listed, tagged, kept up to date, detached; each its user's own."""

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from boxoffice.payments.v1 import payment_methods_pb2
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import new_request_id, new_user, refused, refused_field
from tests.support.desk import Desk, charge_request
from tests.support.service import Account, wait_until

TAGS = FieldMask(paths=["tags"])


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


def save_request(user_id: str, stripe_id: str, **fields: object) -> pb.SavePaymentMethodRequest:
    """Ask for a method to be saved, under a new request id."""
    return pb.SavePaymentMethodRequest(
        request_id=new_request_id(),
        user_id=user_id,
        stripe_payment_method_id=stripe_id,
        **fields,  # type: ignore[arg-type]  # a field's value each
    )


def detach_request(user_id: str, **named: str) -> pb.DetachPaymentMethodRequest:
    """Ask for a method to be detached, under a new request id."""
    return pb.DetachPaymentMethodRequest(
        request_id=new_request_id(),
        user_id=user_id,
        **named,
    )


def tag_request(
    method: payment_methods_pb2.PaymentMethod, *tags: str, etag: str = ""
) -> pb.UpdatePaymentMethodRequest:
    """Ask for a method's tags to be changed, under a new request id."""
    changed = payment_methods_pb2.PaymentMethod(id=method.id, tags=tags, etag=etag)
    return pb.UpdatePaymentMethodRequest(
        request_id=new_request_id(), payment_method=changed, update_mask=TAGS
    )


# -- saving ---------------------------------------------------------------------------------------


def test_saved_method_is_attached_to_the_users_customer(
    grpc_stub: PaymentsServiceStub, desk: Desk, account: Account
) -> None:
    """And is answered with all that a person recognises a card by, and its tags."""
    user, card = new_user(), desk.card("amex")
    method = grpc_stub.SavePaymentMethod(save_request(user, card, tags=["home"])).payment_method
    assert (method.user_id, method.stripe_payment_method_id) == (user, card)
    assert (method.type, method.brand, method.last4) == ("card", "amex", "0005")
    assert list(method.tags) == ["home"]
    assert method.etag
    assert not method.HasField("detach_time")
    attached = account.call("GET", f"payment_methods/{card}")
    customer = grpc_stub.GetCustomer(pb.GetCustomerRequest(user_id=user)).customer
    assert (customer.user_id, customer.stripe_customer_id) == (user, attached["customer"])
    told = attached["card"]
    assert (method.exp_month, method.exp_year) == (told["exp_month"], told["exp_year"])
    assert desk.methods(user) == [method]


def test_method_that_is_attached_already_is_saved_as_it_is(
    grpc_stub: PaymentsServiceStub, desk: Desk, account: Account
) -> None:
    """Saving again attaches nothing, and changes the tags only where some are given."""
    user = new_user()
    method = desk.save(user, tags=["one"])
    account.wait_delivered()
    card = method.stripe_payment_method_id
    attached = account.everything("events", type="payment_method.attached")
    again = grpc_stub.SavePaymentMethod(save_request(user, card)).payment_method
    assert again == method
    tagged = grpc_stub.SavePaymentMethod(save_request(user, card, tags=["two"])).payment_method
    assert (tagged.id, list(tagged.tags)) == (method.id, ["two"])
    assert tagged.etag != method.etag
    assert len(account.everything("events", type="payment_method.attached")) == len(attached)


def test_another_users_method_is_not_found(grpc_stub: PaymentsServiceStub, desk: Desk) -> None:
    """It is not told apart from one that Stripe doesn't know, and stays its owner's."""
    owner, thief = new_user(), new_user()
    method = desk.save(owner)
    for named in (method.stripe_payment_method_id, "pm_none"):
        with refused(Reason.PAYMENT_METHOD_NOT_FOUND) as refusal:
            grpc_stub.SavePaymentMethod(save_request(thief, named))
        assert refusal.metadata == {"payment_method_id": named}
    assert desk.methods(thief) == []
    assert desk.methods(owner) == [method]


def test_detached_method_can_not_be_saved_again(grpc_stub: PaymentsServiceStub, desk: Desk) -> None:
    """Stripe never attaches it again (https://docs.stripe.com/api/payment_methods/detach)."""
    user = new_user()
    method = desk.save(user)
    grpc_stub.DetachPaymentMethod(detach_request(user, payment_method_id=method.id))
    with refused(Reason.PAYMENT_METHOD_NOT_FOUND):
        grpc_stub.SavePaymentMethod(save_request(user, method.stripe_payment_method_id))
    assert desk.methods(user) == []


def test_card_that_can_not_be_saved_is_refused_in_stripes_words(
    grpc_stub: PaymentsServiceStub, desk: Desk
) -> None:
    """The bank says no when it is asked whether the card is good."""
    user = new_user()
    with refused(Reason.VENDOR_REFUSED) as refusal:
        grpc_stub.SavePaymentMethod(save_request(user, desk.card("chargeDeclined")))
    assert refusal.metadata["vendor_code"] == "card_declined"
    assert desk.methods(user) == []


def test_method_that_is_no_card_is_saved_too(grpc_stub: PaymentsServiceStub, desk: Desk) -> None:
    """What iDEAL leaves behind for reuse is a SEPA debit: no brand, no end, four digits."""
    user = new_user()
    customer = desk.account.call("POST", "customers", **{"metadata[boxoffice_user_id]": user})
    desk.save(user)  # the service makes a customer of its own
    known = grpc_stub.GetCustomer(pb.GetCustomerRequest(user_id=user)).customer
    assert known.stripe_customer_id != customer["id"]
    form = {
        "customer": known.stripe_customer_id,
        "payment_method_types[]": "ideal",
        "usage": "off_session",
    }
    setup = desk.account.call("POST", "setup_intents", **form)
    desk.press(f"setup_intents/{setup['id']}", "setup")
    wait_until(lambda: len(desk.methods(user)) == 2, "the debit is not there")
    debit = desk.methods(user)[0]
    assert (debit.type, debit.brand, debit.exp_month, debit.exp_year) == ("sepa_debit", "", 0, 0)
    assert len(debit.last4) == 4
    with refused(Reason.PAYMENT_METHOD_NOT_REUSABLE) as refusal:
        grpc_stub.ChargeUser(charge_request(user, payment_method_id=debit.id))
    assert refusal.metadata == {"payment_method_type": "sepa_debit"}
    assert desk.account.intents_of(user) == []


# -- listing --------------------------------------------------------------------------------------


def test_methods_are_listed_newest_first_page_by_page(
    grpc_stub: PaymentsServiceStub, desk: Desk
) -> None:
    """Pages of two hold each of five once; a token of other filters is refused."""
    user = new_user()
    saved = [desk.save(user, tags=["odd"] if number % 2 else []) for number in range(5)]
    newest_first = [each.id for each in reversed(saved)]
    seen, token = [], ""
    while True:
        request = pb.ListPaymentMethodsRequest(user_id=user, page_size=2, page_token=token)
        page = grpc_stub.ListPaymentMethods(request)
        assert len(page.payment_methods) <= 2
        seen += [each.id for each in page.payment_methods]
        token = page.next_page_token or token
        if not page.next_page_token:
            break
    assert seen == newest_first
    assert [each.id for each in desk.methods(user, tag="odd")] == [saved[3].id, saved[1].id]
    assert desk.methods(user, tag="none") == []
    with refused(Reason.PAGE_TOKEN_INVALID):
        desk.methods(user, page_size=2, page_token=token, tag="odd")
    assert desk.methods(new_user()) == []


def test_list_wants_a_user(grpc_stub: PaymentsServiceStub, desk: Desk) -> None:
    """There is no list of everyone's methods."""
    with refused_field("user_id"):
        desk.methods("")
    with refused_field("page_size"):
        desk.methods(new_user(), page_size=-1)
    with refused_field("tag"):
        desk.methods(new_user(), tag="t" * 65)


# -- tags -----------------------------------------------------------------------------------------


def test_tags_are_changed_under_the_mask_and_the_etag(
    grpc_stub: PaymentsServiceStub, desk: Desk
) -> None:
    """An etag that is not the present one changes nothing; nor does the same set of tags."""
    method = desk.save(new_user())
    changed = grpc_stub.UpdatePaymentMethod(
        tag_request(method, "a", "b", etag=method.etag)
    ).payment_method
    assert list(changed.tags) == ["a", "b"]
    assert changed.etag != method.etag
    with refused(Reason.ETAG_MISMATCH) as refusal:
        grpc_stub.UpdatePaymentMethod(tag_request(method, etag=method.etag))
    assert refusal.metadata["etag"] == changed.etag
    assert grpc_stub.UpdatePaymentMethod(tag_request(method, "a", "b")).payment_method == changed
    assert not grpc_stub.UpdatePaymentMethod(tag_request(method)).payment_method.tags
    with refused(Reason.PAYMENT_METHOD_NOT_FOUND):
        unknown = payment_methods_pb2.PaymentMethod(id="pmt_none")
        grpc_stub.UpdatePaymentMethod(tag_request(unknown))


def test_only_tags_can_be_changed(grpc_stub: PaymentsServiceStub, desk: Desk) -> None:
    """The rest is Stripe's to say; an empty mask names nothing."""
    request = tag_request(desk.save(new_user()))
    for paths in (["brand"], ["tags", "user_id"], []):
        request.update_mask.CopyFrom(FieldMask(paths=paths))
        with refused_field("update_mask"):
            grpc_stub.UpdatePaymentMethod(request)


# -- what Stripe tells ----------------------------------------------------------------------------


def test_card_that_is_replaced_by_its_network_is_up_to_date(desk: Desk) -> None:
    """Its new end is told by a notification; its tags stay."""
    user = new_user()
    method = desk.save(user, tags=["kept"])
    card = method.stripe_payment_method_id
    desk.press(f"payment_methods/{card}", "update", exp_month=2, exp_year=method.exp_year + 4)

    def updated() -> bool:
        return desk.methods(user)[0].exp_year == method.exp_year + 4

    wait_until(updated, "the card is as it was")
    (now,) = desk.methods(user)
    assert (now.id, now.exp_month, list(now.tags)) == (method.id, 2, ["kept"])
    assert now.etag != method.etag


def test_card_that_is_changed_at_stripe_is_up_to_date(desk: Desk, account: Account) -> None:
    """`payment_method.updated` tells of what somebody changed there."""
    user = new_user()
    method = desk.save(user)
    form = {"card[exp_month]": 3, "card[exp_year]": method.exp_year + 1}
    account.call("POST", f"payment_methods/{method.stripe_payment_method_id}", **form)
    wait_until(lambda: desk.methods(user)[0].exp_month == 3, "the card is as it was")
    assert desk.methods(user)[0].exp_year == method.exp_year + 1


def test_method_that_is_detached_at_stripe_is_detached_here(
    grpc_stub: PaymentsServiceStub, desk: Desk, account: Account
) -> None:
    """It is not listed any more unless asked for, and pays nothing."""
    user = new_user()
    method = desk.save(user)
    account.call("POST", f"payment_methods/{method.stripe_payment_method_id}/detach")
    wait_until(lambda: desk.methods(user) == [], "the method is still there")
    (known,) = desk.methods(user, show_detached=True)
    assert known.HasField("detach_time")
    with refused(Reason.PAYMENT_METHOD_NOT_FOUND):
        grpc_stub.ChargeUser(charge_request(user, payment_method_id=method.id))


@pytest.mark.parametrize("reuse", ["ON_SESSION", "OFF_SESSION"])
def test_method_of_a_payment_is_saved_where_it_was_asked_for(desk: Desk, reuse: str) -> None:
    """The customer pays on session, and the method is there for the next time."""
    user = new_user()
    value = pb.PaymentMethodReuse.Value(f"PAYMENT_METHOD_REUSE_{reuse}")
    made = desk.intended({"user_id": user, "setup_payment_method_reuse": value})
    desk.pay(made.payment)
    wait_until(lambda: len(desk.methods(user)) == 1, "the method is not there")
    assert desk.methods(user)[0].last4 == "4242"


def test_method_of_a_payment_is_not_saved_otherwise(desk: Desk, account: Account) -> None:
    """Who only pays leaves nothing behind."""
    user = new_user()
    desk.pay(desk.intended({"user_id": user}).payment)
    account.wait_delivered()
    assert desk.methods(user, show_detached=True) == []


# -- detaching ------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["payment_method_id", "stripe_payment_method_id"])
def test_method_is_detached_by_either_id(
    grpc_stub: PaymentsServiceStub, desk: Desk, account: Account, by: str
) -> None:
    """At Stripe and here; once more answers it as it is."""
    user = new_user()
    method = desk.save(user)
    card = method.stripe_payment_method_id
    named = {by: method.id if by == "payment_method_id" else card}
    gone = grpc_stub.DetachPaymentMethod(detach_request(user, **named)).payment_method
    assert gone.id == method.id
    assert gone.HasField("detach_time")
    assert account.call("GET", f"payment_methods/{card}")["customer"] is None
    account.wait_delivered()
    assert desk.methods(user) == []
    (kept,) = desk.methods(user, show_detached=True)
    assert grpc_stub.DetachPaymentMethod(detach_request(user, **named)).payment_method == kept


def test_method_that_was_detached_at_stripe_unheard_is_detached_as_asked_for(
    grpc_stub: PaymentsServiceStub, desk: Desk, account: Account
) -> None:
    """Stripe refuses to detach it again; what was asked for is so already."""
    user = new_user()
    method = desk.save(user)
    account.wait_delivered()
    account.webhooks("drop")
    try:
        account.call("POST", f"payment_methods/{method.stripe_payment_method_id}/detach")
        request = detach_request(user, payment_method_id=method.id)
        assert grpc_stub.DetachPaymentMethod(request).payment_method.HasField("detach_time")
    finally:
        account.webhooks("normal")
    assert desk.methods(user) == []


def test_another_users_method_can_not_be_detached(
    grpc_stub: PaymentsServiceStub, desk: Desk
) -> None:
    """By neither id; nor can one that nobody has."""
    owner, thief = new_user(), new_user()
    method = desk.save(owner)
    for named in (
        {"payment_method_id": method.id},
        {"stripe_payment_method_id": method.stripe_payment_method_id},
        {"payment_method_id": "pmt_none"},
        {"stripe_payment_method_id": "pm_none"},
    ):
        with refused(Reason.PAYMENT_METHOD_NOT_FOUND):
            grpc_stub.DetachPaymentMethod(detach_request(thief, **named))
    assert desk.methods(owner) == [method]
    with refused_field("payment_method"):
        grpc_stub.DetachPaymentMethod(detach_request(owner))


def test_detached_method_of_an_unknown_user_leaves_no_customer(
    grpc_stub: PaymentsServiceStub,
) -> None:
    """Who has never paid or saved anything has no customer; who is nobody is a fault."""
    user = new_user()
    with refused(Reason.PAYMENT_METHOD_NOT_FOUND):
        grpc_stub.DetachPaymentMethod(detach_request(user, stripe_payment_method_id="pm_none"))
    with refused(Reason.CUSTOMER_NOT_FOUND) as refusal:
        grpc_stub.GetCustomer(pb.GetCustomerRequest(user_id=user))
    assert refusal.metadata == {"user_id": user}
    with refused_field("user_id"):
        grpc_stub.GetCustomer(pb.GetCustomerRequest())

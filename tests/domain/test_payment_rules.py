"""What may be done with a payment: how it is paid, captured, cancelled and refunded."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.payment import (
    PaymentMethodType,
    PaymentState,
    PaymentStatus,
    PendingReason,
    Reuse,
)
from boxoffice_server.domain.payment_rules import (
    check_cancellable,
    check_capturable,
    check_currency,
    check_refundable,
    check_reusable,
)
from boxoffice_server.domain.refund import Refund, RefundStatus
from tests.domain.money_back import PAYMENT, a_refund

HELD = replace(
    PAYMENT, state=PaymentState(status=PaymentStatus.REQUIRES_CAPTURE), authorised=900, captured=0
)


def in_status(status: PaymentStatus, reason: PendingReason | None = None) -> PaymentState:
    """A state."""
    return PaymentState(status=status, pending_reason=reason)


def test_held_money_can_be_captured_up_to_what_is_held() -> None:
    """All of it where no amount is named."""
    for amount in (None, 1, 900):
        check_capturable(HELD, amount)
    with pytest.raises(BoxofficeError) as caught:
        check_capturable(HELD, 901)
    assert caught.value.reason is Reason.AMOUNT_EXCEEDS_AUTHORISATION
    assert caught.value.metadata == {"payment_id": PAYMENT.id, "authorised": "900"}


@pytest.mark.parametrize("status", sorted(set(PaymentStatus) - {PaymentStatus.REQUIRES_CAPTURE}))
def test_nothing_else_can_be_captured(status: PaymentStatus) -> None:
    """The refusal says where the payment stands."""
    with pytest.raises(BoxofficeError) as caught:
        check_capturable(replace(HELD, state=in_status(status)), None)
    assert caught.value.reason is Reason.PAYMENT_NOT_CAPTURABLE
    assert caught.value.metadata == {"payment_id": PAYMENT.id, "status": status.value}


@pytest.mark.parametrize(
    ("state", "can"),
    [
        (in_status(PaymentStatus.REQUIRES_PAYMENT_METHOD), True),
        (in_status(PaymentStatus.REQUIRES_CONFIRMATION), True),
        (in_status(PaymentStatus.REQUIRES_ACTION), True),
        (in_status(PaymentStatus.REQUIRES_CAPTURE), True),
        (in_status(PaymentStatus.PENDING, PendingReason.OUTCOME_UNKNOWN), True),
        (in_status(PaymentStatus.PENDING, PendingReason.PROCESSING), False),
        (in_status(PaymentStatus.CANCELLED), False),
        (in_status(PaymentStatus.COMPLETE), False),
    ],
)
def test_a_payment_can_be_cancelled_until_money_is_on_its_way(
    state: PaymentState, *, can: bool
) -> None:
    """What has ended has ended, and what is on its way can't be called back."""
    if can:
        check_cancellable(replace(PAYMENT, state=state))
        return
    with pytest.raises(BoxofficeError) as caught:
        check_cancellable(replace(PAYMENT, state=state))
    assert caught.value.reason is Reason.PAYMENT_NOT_CANCELLABLE
    assert caught.value.metadata["status"] == state.status


def test_a_payment_that_took_nothing_has_nothing_to_refund() -> None:
    """Whatever it holds."""
    with pytest.raises(BoxofficeError) as caught:
        check_refundable(HELD, [], None)
    assert caught.value.reason is Reason.PAYMENT_NOT_REFUNDABLE


@pytest.mark.parametrize("amount", [0, -1, 301])
def test_more_than_is_left_is_not_refunded(amount: int) -> None:
    """Nor nothing; the refusal says how much could be."""
    with pytest.raises(BoxofficeError) as caught:
        check_refundable(replace(PAYMENT, captured=1000), [a_refund(1, amount=700)], amount)
    assert caught.value.reason is Reason.REFUND_EXCEEDS_PAYMENT
    assert caught.value.metadata == {"payment_id": PAYMENT.id, "refundable": "300"}


def test_a_payment_that_is_refunded_has_nothing_left() -> None:
    """Asked for all that is left, it refuses too."""
    with pytest.raises(BoxofficeError) as caught:
        check_refundable(PAYMENT, [a_refund(1, amount=1250)], None)
    assert caught.value.reason is Reason.REFUND_EXCEEDS_PAYMENT
    assert caught.value.metadata["refundable"] == "0"


@given(
    captured=st.integers(min_value=1, max_value=50),
    asked=st.lists(
        st.tuples(
            st.none() | st.integers(min_value=-1, max_value=60), st.sampled_from(RefundStatus)
        )
    ),
)
def test_refunds_never_exceed_what_was_taken(
    captured: int, asked: list[tuple[int | None, RefundStatus]]
) -> None:
    """However they are asked for; what failed or was given up is free to be given back again."""
    payment = replace(PAYMENT, captured=captured)
    refunds: list[Refund] = []
    for amount, becomes in asked:
        on_its_way = sum(each.amount.amount for each in refunds if each.counts)
        left = captured - on_its_way
        wanted = left if amount is None else amount
        if not 1 <= wanted <= left:
            with pytest.raises(BoxofficeError) as caught:
                check_refundable(payment, refunds, amount)
            assert caught.value.reason is Reason.REFUND_EXCEEDS_PAYMENT
            assert caught.value.metadata["refundable"] == str(left)
            continue
        assert check_refundable(payment, refunds, amount) == wanted
        refunds.append(a_refund(len(refunds), amount=wanted, status=becomes))
    assert 0 <= sum(each.amount.amount for each in refunds if each.counts) <= captured


@pytest.mark.parametrize("method_type", list(PaymentMethodType))
def test_every_method_pays_in_euros(method_type: PaymentMethodType) -> None:
    """The default currency is everyone's."""
    check_currency(method_type, "eur")


def test_a_card_pays_in_any_currency() -> None:
    """Which ones there are is Stripe's to say."""
    check_currency(PaymentMethodType.CARD, "usd")


@pytest.mark.parametrize(
    "method_type",
    [PaymentMethodType.BANCONTACT, PaymentMethodType.GIROPAY, PaymentMethodType.IDEAL],
)
def test_a_redirect_method_pays_in_euros_only(method_type: PaymentMethodType) -> None:
    """Refused before Stripe is asked."""
    with pytest.raises(BoxofficeError) as caught:
        check_currency(method_type, "usd")
    assert caught.value.reason is Reason.CURRENCY_NOT_SUPPORTED
    assert caught.value.metadata == {
        "payment_method_type": method_type.value,
        "currency_code": "usd",
    }


@pytest.mark.parametrize("reuse", list(Reuse))
def test_only_cards_can_be_saved(reuse: Reuse) -> None:
    """A redirect method sends the customer away at every payment."""
    check_reusable(PaymentMethodType.CARD, reuse)
    for method_type in set(PaymentMethodType) - {PaymentMethodType.CARD}:
        with pytest.raises(BoxofficeError) as caught:
            check_reusable(method_type, reuse)
        assert caught.value.reason is Reason.PAYMENT_METHOD_NOT_REUSABLE
        assert caught.value.metadata == {"payment_method_type": method_type.value}

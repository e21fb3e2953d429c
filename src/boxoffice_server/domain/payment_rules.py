"""What may be done with a payment, and what is refused in which words."""

from collections.abc import Iterable

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.money import DEFAULT_CURRENCY
from boxoffice_server.domain.payment import (
    ENDED,
    Payment,
    PaymentMethodType,
    PaymentStatus,
    PendingReason,
    Reuse,
)
from boxoffice_server.domain.refund import Refund


def check_currency(method_type: PaymentMethodType, currency: str) -> None:
    """Raise CURRENCY_NOT_SUPPORTED where this method can't pay in this currency.

    The redirect methods pay in euros only: https://docs.stripe.com/payments/bancontact,
    https://docs.stripe.com/payments/ideal, https://docs.stripe.com/payments/giropay.
    """
    if method_type is not PaymentMethodType.CARD and currency != DEFAULT_CURRENCY:
        raise BoxofficeError(
            Reason.CURRENCY_NOT_SUPPORTED,
            f"{method_type} pays in {DEFAULT_CURRENCY} only, not in {currency}",
            metadata={"payment_method_type": method_type, "currency_code": currency},
        )


def check_reusable(method_type: PaymentMethodType, reuse: Reuse) -> None:
    """Raise PAYMENT_METHOD_NOT_REUSABLE where this method can't be saved for later payments.

    The redirect methods pay once. What Stripe makes of them for reuse is a SEPA debit
    (https://docs.stripe.com/payments/ideal/set-up-payment), which is not offered here.
    """
    if method_type is not PaymentMethodType.CARD:
        raise BoxofficeError(
            Reason.PAYMENT_METHOD_NOT_REUSABLE,
            f"{method_type} sends the customer to their bank at every payment: it can't be saved "
            f"for reuse ({reuse}), nor be used while the customer is away",
            metadata={"payment_method_type": method_type},
        )


def check_capturable(payment: Payment, amount: int | None) -> None:
    """Raise PAYMENT_NOT_CAPTURABLE or AMOUNT_EXCEEDS_AUTHORISATION."""
    if payment.state.status is not PaymentStatus.REQUIRES_CAPTURE:
        raise wrong_status(payment, Reason.PAYMENT_NOT_CAPTURABLE, "holds no money to capture")
    if amount is not None and amount > payment.authorised:
        raise BoxofficeError(
            Reason.AMOUNT_EXCEEDS_AUTHORISATION,
            f"payment {payment.id} holds {payment.authorised}, which is less than {amount}",
            metadata={"payment_id": payment.id, "authorised": str(payment.authorised)},
        )


def check_cancellable(payment: Payment) -> None:
    """Raise PAYMENT_NOT_CANCELLABLE for a payment that has ended or is on its way."""
    state = payment.state
    if state.status in ENDED or state.pending_reason is PendingReason.PROCESSING:
        raise wrong_status(payment, Reason.PAYMENT_NOT_CANCELLABLE, "can't be cancelled")


def check_refundable(payment: Payment, refunds: Iterable[Refund], amount: int | None) -> int:
    """Tell how much is refunded: the amount asked for, or all that is left.

    Raises PAYMENT_NOT_REFUNDABLE where nothing was taken, and REFUND_EXCEEDS_PAYMENT. A refund
    counts from the moment it is asked for until it is known to have failed.
    """
    if not payment.captured:
        raise wrong_status(payment, Reason.PAYMENT_NOT_REFUNDABLE, "has no money to give back")
    left = payment.captured - sum(each.amount.amount for each in refunds if each.counts)
    wanted = left if amount is None else amount
    if not 1 <= wanted <= left:
        raise BoxofficeError(
            Reason.REFUND_EXCEEDS_PAYMENT,
            f"of payment {payment.id} {left} can be refunded, and not {max(wanted, 1)}",
            metadata={"payment_id": payment.id, "refundable": str(left)},
        )
    return wanted


def wrong_status(payment: Payment, reason: Reason, what: str) -> BoxofficeError:
    """Refuse what can't be done with a payment of this status."""
    status = payment.state.status
    return BoxofficeError(
        reason,
        f"payment {payment.id} is {status} and {what}",
        metadata={"payment_id": payment.id, "status": status},
    )

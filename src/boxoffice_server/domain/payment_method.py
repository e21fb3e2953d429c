"""Payment methods that users have saved, as far as they are known here: never a card's number."""

from dataclasses import dataclass, replace
from datetime import datetime

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.ids import Prefix, hashed_id

CARD = "card"


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodDetails:
    """What the vendor tells of a method.

    `type` is Stripe's word. Month (1 to 12) and year are 0, brand and last four digits empty, where
    a type has none.
    """

    type: str
    brand: str = ""
    exp_month: int = 0
    exp_year: int = 0
    last4: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethod:
    """A way to pay that a user has saved. Usable by its owner only, until it is detached.

    `heard_time` is the vendor's time of the details that are known. `version` rises by one at every
    change.
    """

    id: str
    user_id: str
    stripe_payment_method_id: str
    details: MethodDetails
    tags: tuple[str, ...]
    heard_time: datetime
    detach_time: datetime | None
    version: int
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodNews:
    """What the vendor says about a method. `stripe_customer_id` is empty for a detached one.

    `details` is None where it only says that the method exists.
    """

    stripe_payment_method_id: str
    stripe_customer_id: str
    details: MethodDetails | None
    event_time: datetime
    detached: bool


def method_id(stripe_payment_method_id: str) -> str:
    """Tell our id of a method, which follows from the vendor's."""
    return hashed_id(Prefix.PAYMENT_METHOD, stripe_payment_method_id)


def new_method(
    news: MethodNews, details: MethodDetails, *, user_id: str, now: datetime
) -> PaymentMethod:
    """Make the record of a method."""
    return PaymentMethod(
        id=method_id(news.stripe_payment_method_id),
        user_id=user_id,
        stripe_payment_method_id=news.stripe_payment_method_id,
        details=details,
        tags=(),
        heard_time=news.event_time,
        detach_time=news.event_time if news.detached else None,
        version=1,
        create_time=now,
        update_time=now,
    )


def hear_method(known: PaymentMethod, news: MethodNews, now: datetime) -> PaymentMethod:
    """Take in what the vendor says; answers the same method where it is not news.

    A method that was detached never comes back
    (https://docs.stripe.com/api/payment_methods/detach).
    """
    heard = known
    if news.detached and (known.detach_time is None or news.event_time < known.detach_time):
        heard = replace(heard, detach_time=news.event_time)
    if news.details is not None and news.event_time >= known.heard_time:
        newer = news.event_time > known.heard_time or _order(news.details) > _order(known.details)
        if newer:
            heard = replace(heard, details=news.details, heard_time=news.event_time)
    if (heard.details, heard.detach_time) == (known.details, known.detach_time):
        return heard
    return replace(heard, version=known.version + 1, update_time=now)


def _order(details: MethodDetails) -> tuple[int, int, str, str, str]:
    """Order details of one second, so that the same ones win in whatever order they come."""
    return details.exp_year, details.exp_month, details.type, details.brand, details.last4


def change_tags(known: PaymentMethod, tags: tuple[str, ...], now: datetime) -> PaymentMethod:
    """Give a method these tags; answers the same method where it has them."""
    if known.tags == tags:
        return known
    return replace(known, tags=tags, version=known.version + 1, update_time=now)


def check_usable(method: PaymentMethod | None, user_id: str, named: str) -> PaymentMethod:
    """Raise PAYMENT_METHOD_NOT_FOUND unless there is such a method, and it is this user's to use.

    Another user's is not told apart from one that is not there.
    """
    if method is None or method.user_id != user_id or method.detach_time is not None:
        raise method_not_found(named)
    return method


def check_chargeable(method: PaymentMethod) -> None:
    """Raise PAYMENT_METHOD_NOT_REUSABLE for a saved method that can't be charged by itself.

    Cards alone are. A debit takes days and a mandate (https://docs.stripe.com/payments/sepa-debit),
    which is not offered here.
    """
    if method.details.type != CARD:
        raise BoxofficeError(
            Reason.PAYMENT_METHOD_NOT_REUSABLE,
            f"payment method {method.id} is a {method.details.type}, and only cards are charged",
            metadata={"payment_method_type": method.details.type},
        )


def method_not_found(named: str) -> BoxofficeError:
    """Refuse a method that is not there, whichever of its ids it was named by."""
    return BoxofficeError(
        Reason.PAYMENT_METHOD_NOT_FOUND,
        f"there is no payment method {named} of this user's",
        metadata={"payment_method_id": named},
    )

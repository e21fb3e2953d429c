"""How a subscription goes on or doesn't: renewals, failures, and what its customer says to them."""

from boxoffice_sandbox.app_store.catalogue import day_of
from boxoffice_sandbox.app_store.life import Moment, begin_period
from boxoffice_sandbox.app_store.subscription import (
    DAY,
    RETRY_LIMIT,
    Consent,
    Intent,
    Phase,
    Subscription,
)
from boxoffice_sandbox.errors import invalid_request

EARLIEST = DAY
"""How long before the end of a period Apple may renew."""
_RUNNING = (Phase.ACTIVE, Phase.GRACE, Phase.RETRY)
_LONGEST_EXTENSION_DAYS = 90


def cancel(moment: Moment, found: Subscription) -> None:
    """Turn automatic renewal off. Apple stops collecting then, if it still was."""
    _check_phase(found, *_RUNNING)
    if not found.auto_renew:
        raise invalid_request(f"{found.id} does not renew as it is.")
    found.auto_renew = False
    moment.tell(found, "DID_CHANGE_RENEWAL_STATUS", "AUTO_RENEW_DISABLED")
    if found.phase is Phase.RETRY:
        expire(moment, found, "VOLUNTARY", Intent.CANCELLED)


def enable(moment: Moment, found: Subscription) -> None:
    """Turn automatic renewal on again, before the period is over."""
    _check_phase(found, Phase.ACTIVE, Phase.GRACE)
    if found.auto_renew:
        raise invalid_request(f"{found.id} renews as it is.")
    found.auto_renew = True
    moment.tell(found, "DID_CHANGE_RENEWAL_STATUS", "AUTO_RENEW_ENABLED")


def renew(moment: Moment, found: Subscription) -> None:
    """Begin the next period when the current one ends, at most a day before that."""
    _check_phase(found, Phase.ACTIVE)
    if found.renewal_at - moment.now > EARLIEST:
        raise invalid_request(f"{found.id} renews within a day of {found.renewal_at}, not before.")
    _go_on(moment, found, start=found.renewal_at)
    moment.tell(found, "DID_RENEW")


def let_fail(found: Subscription, *, grace_days: int) -> None:
    """Let the card be declined from now on, with so many days of grace when it matters."""
    _check_phase(found, Phase.ACTIVE)
    if grace_days < 0:
        raise invalid_request("grace_days must be 0 or more.")
    found.fails, found.grace_days = True, grace_days


def fail(moment: Moment, found: Subscription) -> None:
    """Fail to collect for the next period: grace begins, or the retries without it."""
    found.intent = Intent.BILLING
    if found.grace_days > 0:
        found.phase = Phase.GRACE
        found.grace_until = found.renewal_at + found.grace_days * DAY
        moment.tell(found, "DID_FAIL_TO_RENEW", "GRACE_PERIOD")
        return
    found.phase = Phase.RETRY
    moment.tell(found, "DID_FAIL_TO_RENEW")


def end_grace(moment: Moment, found: Subscription) -> None:
    """Go on trying without access; a customer who has cancelled meanwhile is gone."""
    if not found.auto_renew:
        expire(moment, found, "VOLUNTARY", Intent.CANCELLED)
        return
    found.phase = Phase.RETRY
    moment.tell(found, "GRACE_PERIOD_EXPIRED")


def recover(moment: Moment, found: Subscription) -> None:
    """Collect after all. In grace the billing date stays; later it is the day of recovery."""
    _check_phase(found, Phase.GRACE, Phase.RETRY)
    start = found.renewal_at
    if found.phase is Phase.RETRY:
        start, found.day = moment.now, day_of(moment.now)
    _go_on(moment, found, start=start)
    found.auto_renew = True
    moment.tell(found, "DID_RENEW", "BILLING_RECOVERY")


def mend(found: Subscription) -> None:
    """Let the card work again before it was ever declined."""
    _check_phase(found, Phase.ACTIVE)
    found.fails, found.grace_days = False, 0


def expire(moment: Moment, found: Subscription, subtype: str, intent: Intent) -> None:
    """End it."""
    found.phase, found.intent = Phase.EXPIRED, intent
    moment.tell(found, "EXPIRED", subtype)


def raise_price(moment: Moment, found: Subscription, price: int, *, consent: bool) -> None:
    """Tell the customer of a higher price, to which they must consent or need not."""
    _check_phase(found, Phase.ACTIVE)
    if price <= 0:
        raise invalid_request("price must be a positive number of thousandths.")
    found.new_price = price
    found.consent = Consent.PENDING if consent else Consent.ACCEPTED
    moment.tell(found, "PRICE_INCREASE", "PENDING" if consent else "ACCEPTED")


def accept_price(moment: Moment, found: Subscription) -> None:
    """Let the customer consent."""
    _check_asked(found)
    found.consent = Consent.ACCEPTED
    moment.tell(found, "PRICE_INCREASE", "ACCEPTED")


def refuse_price(moment: Moment, found: Subscription) -> None:
    """Let the customer cancel because of the price; Apple tells that without a subtype."""
    _check_asked(found)
    found.consent, found.auto_renew = Consent.REFUSED, False
    moment.tell(found, "DID_CHANGE_RENEWAL_STATUS")


def extend(moment: Moment, found: Subscription, days: int) -> None:
    """Move the end of the current period; the transaction keeps the date it was sold with."""
    _check_phase(found, Phase.ACTIVE)
    if not 1 <= days <= _LONGEST_EXTENSION_DAYS:
        raise invalid_request(f"days must be from 1 to {_LONGEST_EXTENSION_DAYS}.")
    found.renewal_at += days * DAY
    found.day = day_of(found.renewal_at)
    moment.tell(found, "RENEWAL_EXTENDED")


def retries_end(found: Subscription) -> int:
    """Return when Apple gives up."""
    return found.renewal_at + RETRY_LIMIT


def _go_on(moment: Moment, found: Subscription, *, start: int) -> None:
    if found.consent is Consent.ACCEPTED:
        found.own_price = found.new_price
    found.consent = found.new_price = None
    product = moment.product(found.next_product)
    offer = product.offer(found.offer) if found.offer is not None else None
    found.phase = Phase.ACTIVE
    found.intent = found.grace_until = None
    found.fails, found.grace_days = False, 0
    begin_period(moment, found, product, start=start, reason="RENEWAL", offer=offer)


def _check_asked(found: Subscription) -> None:
    if found.consent is not Consent.PENDING:
        raise invalid_request(f"{found.id} was not asked to pay a higher price.")


def _check_phase(found: Subscription, *allowed: Phase) -> None:
    if found.phase not in allowed:
        wanted = " or ".join(allowed)
        raise invalid_request(f"{found.id} is {found.phase}: it must be {wanted}.")

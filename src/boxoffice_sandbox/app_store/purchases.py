"""What customers buy: first, again, another product, with an offer; and what families share."""

from boxoffice_sandbox.app_store.catalogue import Product, day_of
from boxoffice_sandbox.app_store.life import Moment, begin_period
from boxoffice_sandbox.app_store.subscription import (
    PRODUCTION,
    SANDBOX,
    Phase,
    Subscription,
    read_token,
)
from boxoffice_sandbox.errors import invalid_request

_ENDED = (Phase.EXPIRED, Phase.REVOKED)


def buy(
    moment: Moment,
    product_id: str,
    *,
    environment: str,
    app_account_token: str | None = None,
    offer: str | None = None,
) -> Subscription:
    """Let somebody who never had the app subscribe."""
    if environment not in (SANDBOX, PRODUCTION):
        raise invalid_request(f"environment must be {SANDBOX} or {PRODUCTION}.")
    found = _new(
        moment,
        moment.product(product_id),
        environment=environment,
        app_account_token=_token(app_account_token),
        app_transaction_id=moment.new_id(environment),
    )
    _start(moment, found, offer=offer)
    moment.tell(found, "SUBSCRIBED", "INITIAL_BUY")
    return found


def _token(text: str | None) -> str | None:
    """Return a token as Apple writes it; StoreKit takes nothing but a UUID."""
    try:
        return None if text is None else read_token(text)
    except ValueError as error:
        raise invalid_request(f"app_account_token must be a UUID; it is {text}.") from error


def share(moment: Moment, purchaser: Subscription) -> Subscription:
    """Let a family member begin to use what another of the family pays for."""
    _check_running(purchaser)
    if purchaser.is_family_shared:
        raise invalid_request(f"{purchaser.id} is itself shared by {purchaser.family_of}.")
    member = _new(
        moment,
        moment.product(purchaser.product),
        environment=purchaser.environment,
        app_transaction_id=moment.new_id(purchaser.environment),
    )
    member.family_of = purchaser.id
    _start(moment, member, offer=None)
    # A member has no period of their own: it ends with the purchaser's.
    member.renewal_at = member.current.fields["expiresDate"] = purchaser.renewal_at
    member.day, member.next_product = purchaser.day, purchaser.next_product
    member.auto_renew, member.phase = purchaser.auto_renew, purchaser.phase
    member.grace_until, member.intent = purchaser.grace_until, purchaser.intent
    member.fails, member.grace_days = purchaser.fails, purchaser.grace_days
    moment.tell(member, "SUBSCRIBED", "INITIAL_BUY")
    return member


def resubscribe(
    moment: Moment, found: Subscription, *, product: str | None = None, offer: str | None = None
) -> Subscription:
    """Let a former customer come back.

    While Apple still tries to collect for the old subscription, the new purchase is one of its
    own beside it.
    """
    wanted = moment.product(product or found.product)
    if found.phase is Phase.RETRY:
        back = _new(
            moment,
            wanted,
            environment=found.environment,
            app_account_token=found.app_account_token,
            app_transaction_id=found.app_transaction_id,
        )
    elif found.phase in _ENDED:
        back = found
        _forget(back)
        back.started_at, back.day = moment.now, day_of(moment.now)
        back.product, back.next_product, back.own_price = wanted.id, wanted.id, None
    else:
        raise invalid_request(f"{found.id} is {found.phase}: only a former customer comes back.")
    _start(moment, back, offer=offer)
    moment.tell(back, "SUBSCRIBED", "RESUBSCRIBE")
    return back


def change(
    moment: Moment, found: Subscription, product_id: str, *, offer: str | None = None
) -> None:
    """Let a customer choose another product of the group, or go back to the current one.

    A higher one begins at once, as does one as high with periods as long; any other begins with
    the next period.
    """
    _check_running(found)
    wanted, current = moment.product(product_id), moment.product(found.product)
    if wanted.group != current.group:
        raise invalid_request(f"{wanted.id} is not in the group {current.group}.")
    if wanted.id == current.id:
        if found.next_product == current.id:
            raise invalid_request(f"{found.id} is for {current.id} and stays so.")
        found.next_product, found.offer, found.offer_left = current.id, None, 0
        moment.tell(found, "DID_CHANGE_RENEWAL_PREF")
        return
    kind = "DID_CHANGE_RENEWAL_PREF" if offer is None else "OFFER_REDEEMED"
    found.auto_renew = True
    found.intent = None
    if is_immediate(current, wanted):
        _upgrade(moment, found, wanted, offer=offer)
        moment.tell(found, kind, "UPGRADE")
        return
    found.offer, found.offer_left = None, 0
    if offer is not None:
        found.offer, found.offer_left = wanted.offer(offer).id, wanted.offer(offer).periods
    found.next_product = wanted.id
    moment.tell(found, kind, "DOWNGRADE")


def redeem(moment: Moment, found: Subscription, offer: str, *, at_once: bool) -> None:
    """Let a customer redeem an offer for what they have: for the next period, or from now on."""
    _check_running(found)
    product = moment.product(found.product)
    chosen = product.offer(offer)
    if at_once:
        found.day = day_of(moment.now)
        begin_period(moment, found, product, start=moment.now, reason="PURCHASE", offer=chosen)
        _forget(found)
    else:
        found.offer, found.offer_left = chosen.id, chosen.periods
    moment.tell(found, "OFFER_REDEEMED")


def is_immediate(current: Product, wanted: Product) -> bool:
    """Tell whether a change of product begins at once."""
    if wanted.level != current.level:
        return wanted.level < current.level
    return wanted.period == current.period


def _upgrade(moment: Moment, found: Subscription, wanted: Product, *, offer: str | None) -> None:
    left = found.current
    left.fields["isUpgraded"] = True
    left.modified = moment.now
    found.day = day_of(moment.now)
    chosen = None if offer is None else wanted.offer(offer)
    begin_period(moment, found, wanted, start=moment.now, reason="PURCHASE", offer=chosen)
    _forget(found)


def _new(
    moment: Moment,
    product: Product,
    *,
    environment: str,
    app_transaction_id: str,
    app_account_token: str | None = None,
) -> Subscription:
    return Subscription(
        id=moment.new_id(environment),
        bundle_id=product.bundle_id,
        environment=environment,
        app_transaction_id=app_transaction_id,
        app_account_token=app_account_token,
        product=product.id,
        next_product=product.id,
        renewal_at=moment.now,
        day=day_of(moment.now),
        started_at=moment.now,
    )


def _start(moment: Moment, found: Subscription, *, offer: str | None) -> None:
    product = moment.product(found.product)
    if not product.for_sale:
        raise invalid_request(f"{product.id} is not for sale.")
    chosen = None if offer is None else product.offer(offer)
    begin_period(moment, found, product, start=moment.now, reason="PURCHASE", offer=chosen)


def _forget(found: Subscription) -> None:
    """Clear what stood in the way of the former periods."""
    found.phase, found.auto_renew = Phase.ACTIVE, True
    found.intent = found.grace_until = found.consent = found.new_price = None
    found.fails, found.grace_days = False, 0


def _check_running(found: Subscription) -> None:
    if found.phase in (*_ENDED, Phase.RETRY):
        raise invalid_request(f"{found.id} is {found.phase}: it must be active.")

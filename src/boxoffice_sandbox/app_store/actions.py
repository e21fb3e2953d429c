"""What can be done to a subscription on demand: by customers, families, banks and Apple."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from boxoffice_sandbox.app_store import money_back, purchases, renewals
from boxoffice_sandbox.app_store.life import Moment
from boxoffice_sandbox.app_store.records import Records
from boxoffice_sandbox.app_store.subscription import Consent, Phase, Subscription
from boxoffice_sandbox.errors import invalid_request

Json = dict[str, Any]
Known = dict[str, tuple[type, ...]]
Act = Callable[[Moment, Subscription, Json], Subscription | None]

CONSUMPTION_REASONS = (
    "UNINTENDED_PURCHASE",
    "FULFILLMENT_ISSUE",
    "UNSATISFIED_WITH_PURCHASE",
    "LEGAL",
    "OTHER",
)
_ENDED = (Phase.EXPIRED, Phase.REVOKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action: what it takes, what it does, and how it reaches who shares a subscription.

    A `shared` action is done to the members of the family too; after any other they only get
    the purchaser's dates and choices. `members` may do it themselves.
    """

    run: Act
    takes: Known
    shared: bool = False
    members: bool = False


def act(records: Records, moment: Moment, found: Subscription, name: str, given: Json) -> str:
    """Do an action, keep what it changed, and return the id of the subscription it came to."""
    action = ACTIONS[name]
    if found.is_family_shared and not action.members:
        message = f"{found.id} is shared by {found.family_of}, whose customer decides."
        raise invalid_request(message)
    result = action.run(moment, found, given) or found
    records.save(found)
    if result is not found:
        records.save(result)
    for member in records.family(found.id):
        if member.phase in _ENDED:
            continue
        _reach(action, moment, member, found, given)
        records.save(member)
    return result.id


def possible(found: Subscription) -> list[str]:
    """Return the buttons that make sense for a subscription as it is."""
    if found.is_family_shared:
        return [] if found.phase in _ENDED else ["revoke"]
    refund = ["reverse"] if _is_refunded(found) else ["refund"]
    switch = "cancel" if found.auto_renew else "enable"
    match found.phase:
        case Phase.ACTIVE if found.consent is Consent.PENDING:
            return ["accept_price", "refuse_price", "skip", switch, "share", *refund]
        case Phase.ACTIVE if found.fails:
            return ["mend", "skip", switch, "share", *refund]
        case Phase.ACTIVE if found.auto_renew:
            return ["renew", "fail", "cancel", "price", "change", "share", *refund]
        case Phase.ACTIVE:
            return ["enable", "skip", "change", "share", *refund]
        case Phase.GRACE:
            return ["recover", "skip", switch, *refund]
        case Phase.RETRY:
            return ["recover", "skip", "cancel", *refund]
    return ["resubscribe", *refund]


def _is_refunded(found: Subscription) -> bool:
    return "revocationPercentage" in found.current.fields


def _reach(
    action: Action, moment: Moment, member: Subscription, purchaser: Subscription, given: Json
) -> None:
    if _is_refunded(purchaser):
        reason = int(purchaser.current.fields["revocationReason"])
        money_back.revoke(moment, member, reason=reason)
        return
    if action.shared:
        action.run(moment, member, {name: it for name, it in given.items() if name != "offer"})
    member.renewal_at, member.day = purchaser.renewal_at, purchaser.day
    member.auto_renew, member.next_product = purchaser.auto_renew, purchaser.next_product
    member.consent, member.new_price = purchaser.consent, purchaser.new_price
    member.fails, member.grace_days = purchaser.fails, purchaser.grace_days


def _renew(moment: Moment, found: Subscription, _: Json) -> None:
    renewals.renew(moment, found)


def _fail(_: Moment, found: Subscription, given: Json) -> None:
    renewals.let_fail(found, grace_days=given.get("grace_days", 0))


def _refund(moment: Moment, found: Subscription, given: Json) -> None:
    money_back.refund(
        moment,
        found,
        transaction=given.get("transaction"),
        reason=given.get("reason", 0),
        percentage=given.get("percentage", 100),
    )


def _resubscribe(moment: Moment, found: Subscription, given: Json) -> Subscription:
    return purchases.resubscribe(
        moment, found, product=given.get("product"), offer=given.get("offer")
    )


def _change(moment: Moment, found: Subscription, given: Json) -> None:
    purchases.change(moment, found, needed(given, "product"), offer=given.get("offer"))


def _redeem(moment: Moment, found: Subscription, given: Json) -> None:
    at_once = given.get("at_once", False)
    purchases.redeem(moment, found, needed(given, "offer"), at_once=at_once)


def _raise_price(moment: Moment, found: Subscription, given: Json) -> None:
    price = given.get("price", found.current.fields["price"] + 1_000)
    renewals.raise_price(moment, found, price, consent=given.get("consent", True))


def _ask_for_consumption(moment: Moment, found: Subscription, given: Json) -> None:
    reason = given.get("reason", CONSUMPTION_REASONS[0])
    if reason not in CONSUMPTION_REASONS:
        raise invalid_request(f"reason must be one of {', '.join(CONSUMPTION_REASONS)}.")
    money_back.ask_for_consumption(moment, found, reason=reason)


def needed(given: Json, name: str) -> str:
    """Return a member that can't be left out."""
    if name not in given:
        raise invalid_request(f"{name} is missing.")
    return str(given[name])


ACTIONS: dict[str, Action] = {
    "renew": Action(run=_renew, takes={}, shared=True),
    "fail": Action(run=_fail, takes={"grace_days": (int,)}),
    "mend": Action(run=lambda _, found, __: renewals.mend(found), takes={}),
    "recover": Action(
        run=lambda moment, found, _: renewals.recover(moment, found), takes={}, shared=True
    ),
    "cancel": Action(
        run=lambda moment, found, _: renewals.cancel(moment, found), takes={}, shared=True
    ),
    "enable": Action(
        run=lambda moment, found, _: renewals.enable(moment, found), takes={}, shared=True
    ),
    "refund": Action(
        run=_refund,
        takes={"transaction": (str,), "reason": (int,), "percentage": (int,)},
    ),
    "reverse": Action(
        run=lambda moment, found, given: money_back.reverse(
            moment, found, transaction=given.get("transaction")
        ),
        takes={"transaction": (str,)},
    ),
    "decline_refund": Action(
        run=lambda moment, found, _: money_back.decline_refund(moment, found), takes={}
    ),
    "consumption": Action(run=_ask_for_consumption, takes={"reason": (str,)}),
    "revoke": Action(
        run=lambda moment, found, given: money_back.revoke(
            moment, found, reason=given.get("reason", 0)
        ),
        takes={"reason": (int,)},
        members=True,
    ),
    "price": Action(run=_raise_price, takes={"price": (int,), "consent": (bool,)}),
    "accept_price": Action(
        run=lambda moment, found, _: renewals.accept_price(moment, found), takes={}
    ),
    "refuse_price": Action(
        run=lambda moment, found, _: renewals.refuse_price(moment, found), takes={}
    ),
    "change": Action(run=_change, takes={"product": (str,), "offer": (str,)}, shared=True),
    "resubscribe": Action(run=_resubscribe, takes={"product": (str,), "offer": (str,)}),
    "redeem": Action(run=_redeem, takes={"offer": (str,), "at_once": (bool,)}),
    "extend": Action(
        run=lambda moment, found, given: renewals.extend(moment, found, given.get("days", 30)),
        takes={"days": (int,)},
        shared=True,
    ),
    "share": Action(run=lambda moment, found, _: purchases.share(moment, found), takes={}),
}
"""By the name of the control call."""

"""What Apple gives back or takes away: refunds, their reversal, and the end of family sharing."""

from boxoffice_sandbox.app_store.life import Moment
from boxoffice_sandbox.app_store.subscription import Intent, Phase, Subscription, Transaction
from boxoffice_sandbox.errors import invalid_request

_WHOLE = 100_000
"""All of a price, as Apple writes percentages: in thousandths."""
_REVOCATION = ("revocationDate", "revocationReason", "revocationType", "revocationPercentage")
_ENDED = (Phase.EXPIRED, Phase.REVOKED)


def refund(
    moment: Moment,
    found: Subscription,
    *,
    transaction: str | None = None,
    reason: int = 0,
    percentage: int = 100,
) -> None:
    """Refund a period, by default the current one, of which access then ends.

    `reason` is Apple's: 1 for a problem with the app, 0 for any other.
    """
    if found.is_family_shared:
        raise invalid_request(f"{found.id} was paid by somebody else: {found.family_of}.")
    if reason not in (0, 1) or not 1 <= percentage <= 100:  # noqa: PLR2004  (per cent)
        raise invalid_request("reason must be 0 or 1, percentage from 1 to 100.")
    chosen = _transaction(found, transaction)
    if "revocationDate" in chosen.fields:
        raise invalid_request(f"{chosen.id} has been refunded.")
    full = percentage == 100  # noqa: PLR2004
    _revoke(moment, chosen, reason=reason, kind="REFUND_FULL" if full else "REFUND_PRORATED")
    chosen.fields["revocationPercentage"] = _WHOLE * percentage // 100
    if chosen is found.current and found.phase not in _ENDED:
        found.phase = Phase.REVOKED
    moment.tell(found, "REFUND", transaction=chosen)


def reverse(moment: Moment, found: Subscription, *, transaction: str | None = None) -> None:
    """Take a refund back: what is left of the period can be used again."""
    refunded = [it for it in found.transactions if "revocationPercentage" in it.fields]
    if transaction is None and not refunded:
        raise invalid_request(f"{found.id} has no refund.")
    chosen = refunded[-1] if transaction is None else _transaction(found, transaction)
    if chosen not in refunded:
        raise invalid_request(f"{chosen.id} was not refunded.")
    for name in _REVOCATION:
        chosen.fields.pop(name, None)
    chosen.modified = moment.now
    if chosen is found.current and found.phase is Phase.REVOKED:
        is_over = moment.now >= found.renewal_at
        found.phase = Phase.EXPIRED if is_over else Phase.ACTIVE
        found.intent = Intent.CANCELLED if is_over else None
        found.grace_until = None
    moment.tell(found, "REFUND_REVERSED", transaction=chosen)


def decline_refund(moment: Moment, found: Subscription) -> None:
    """Refuse the refund that a customer asked for."""
    moment.tell(found, "REFUND_DECLINED")


def ask_for_consumption(moment: Moment, found: Subscription, *, reason: str) -> None:
    """Ask how much was used, because the customer wants a refund."""
    moment.tell(found, "CONSUMPTION_REQUEST", consumptionRequestReason=reason)


def revoke(moment: Moment, found: Subscription, *, reason: int = 0) -> None:
    """End a family member's use of what another of the family paid for."""
    if not found.is_family_shared:
        raise invalid_request(f"{found.id} is its customer's own: refund it instead.")
    if found.phase in _ENDED:
        raise invalid_request(f"{found.id} is {found.phase}.")
    _revoke(moment, found.current, reason=reason, kind="FAMILY_REVOKE")
    found.phase = Phase.REVOKED
    moment.tell(found, "REVOKE")


def _revoke(moment: Moment, chosen: Transaction, *, reason: int, kind: str) -> None:
    chosen.modified = moment.now
    chosen.fields |= {
        "revocationDate": moment.now,
        "revocationReason": reason,
        "revocationType": kind,
    }


def _transaction(found: Subscription, name: str | None) -> Transaction:
    if name is None:
        return found.current
    for transaction in found.transactions:
        if transaction.id == name:
            return transaction
    raise invalid_request(f"{found.id} has no transaction {name}.")

"""Which event may follow which status, as the table of the design says it, and no code decides.

A column is a status, or several that are treated alike. A cell says what the status is then:
`base`, one of the statuses of a period that just runs; `proj`, whatever the facets that are left
say; a status by its name; `-`, the event is told and the status stays; `X`, it can never be.
`boot`: told of a product of which nothing else is known.
"""

from collections.abc import Mapping

from boxoffice_server.domain.subscription import EntitlementStatus as Status
from boxoffice_server.domain.subscription import SubscriptionEventType as Type

COLUMNS = (
    "none",
    "base",
    "active_without_renewal",
    "switching_product",
    "awaiting_price_change_confirmation",
    "in_grace_period",
    "in_billing_retry",
    "lost",
)

_TABLE = """
started                             base X          X       X         X        X    X     X
started_with_free_trial             base X          X       X         X        X    X     X
started_with_introductory_pricing   base X          X       X         X        X    X     X
started_with_promotion              base X          X       X         X        X    X     X
renewed                             base base       base    base      base     base base  base
renewed_with_free_trial             base base       base    base      base     base base  base
renewed_with_introductory_pricing   base base       base    base      base     base base  base
renewed_with_promotion              base base       base    base      base     base base  base
renewal_disabled                    boot without    -       without   without  without -  -
renewal_enabled                     boot -          proj    proj      proj     -    -     -
switching_product                   boot switching  proj    switching -        -    -     -
price_change_confirmation_requested boot awaiting   -       awaiting  -        -    -     -
grace_period_started                boot grace      -       grace     grace    -    X     -
billing_retry_started               boot retry      retry   retry     retry    retry -    -
expired_voluntarily                 boot itself     itself  itself    itself   itself itself -
expired_from_billing                boot itself     itself  itself    itself   itself itself -
failed_to_confirm_price_change      boot itself     itself  itself    itself   itself itself -
switched_product                    X    itself     itself  itself    itself   itself itself -
revoked                             boot itself     itself  itself    itself   itself itself over
refunded                            boot itself     itself  itself    itself   itself itself over
refunded_for_issue                  boot itself     itself  itself    itself   itself itself over
"""

CELLS: Mapping[Type, Mapping[str, str]] = {
    Type(line.split()[0]): dict(zip(COLUMNS, line.split()[1:], strict=True))
    for line in _TABLE.strip().splitlines()
}

BASES = frozenset(
    {
        Status.USING_FREE_TRIAL,
        Status.USING_INTRODUCTORY_PRICING,
        Status.USING_PROMOTION,
        Status.ACTIVE_WITH_RENEWAL,
    }
)
RUNNING = BASES | {
    Status.ACTIVE_WITHOUT_RENEWAL,
    Status.SWITCHING_PRODUCT,
    Status.AWAITING_PRICE_CHANGE_CONFIRMATION,
    Status.IN_GRACE_PERIOD,
}
# Each prevails over those that follow, within one period.
PRECEDENCE = (
    Status.SWITCHED_PRODUCT,
    Status.REFUNDED_FOR_ISSUE,
    Status.REFUNDED,
    Status.REVOKED,
)
LOST = frozenset(
    {
        *PRECEDENCE,
        Status.EXPIRED_VOLUNTARILY,
        Status.EXPIRED_FROM_BILLING,
        Status.FAILED_TO_CONFIRM_PRICE_CHANGE,
    }
)
_SHORT = {
    "without": Status.ACTIVE_WITHOUT_RENEWAL,
    "switching": Status.SWITCHING_PRODUCT,
    "awaiting": Status.AWAITING_PRICE_CHANGE_CONFIRMATION,
    "grace": Status.IN_GRACE_PERIOD,
    "retry": Status.IN_BILLING_RETRY,
}


def cell(before: Status | None, event: Type) -> str:
    """Look an event up; what prevails over what is decided here."""
    if before is None:
        column = "none"
    elif before in BASES:
        column = "base"
    elif before in LOST:
        column = "lost"
    else:
        column = before.value
    found = CELLS[event][column]
    if found == "over":
        return "itself" if _prevails(Status(event.value), before) else "-"
    return found


def allowed(before: Status | None, event: Type) -> frozenset[Status]:
    """Tell which statuses may follow."""
    match cell(before, event):
        case "base":
            return BASES
        case "proj":
            return RUNNING
        case "itself":
            return frozenset({Status(event.value)})
        case "boot":
            return frozenset(Status)
        case "-":
            return frozenset({before} if before is not None else ())
        case "X":
            return frozenset()
        case short:
            return frozenset({_SHORT[short]})


def allowed_untold(before: Status | None) -> frozenset[Status]:
    """Tell which statuses may follow without an event.

    The vendor is silent; it says something after all; a period is only mentioned; or a refund is
    reversed after the end.
    """
    if before is None:
        return frozenset(Status)
    if before in LOST:
        return LOST | RUNNING | {Status.IN_BILLING_RETRY}
    return BASES | {before, Status.IN_BILLING_RETRY}


def _prevails(loss: Status, before: Status | None) -> bool:
    if before not in PRECEDENCE:
        return True
    return PRECEDENCE.index(loss) <= PRECEDENCE.index(before)

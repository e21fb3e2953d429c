"""What each kind of notification says, as a table: every type and subtype that Apple documents.

https://developer.apple.com/documentation/appstoreservernotifications/notificationtype and
https://developer.apple.com/documentation/appstoreservernotifications/subtype. The lists are open:
whatever is not in them says nothing by itself, and how things stood is still read from it.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final


class Rule(Enum):
    """What a notification says beside how things stood when it was signed."""

    FIRST_PERIOD = auto()  # bought for the first time in its group
    NEXT_PERIOD = auto()  # bought again, renewed, or changed at once to another product
    SOME_PERIOD = auto()  # bought; whether it was the first is told by its dates alone
    OFFER_PERIOD = auto()  # an offer was redeemed: the period is new, or the offer waits for it
    SWITCH_ASKED = auto()  # another product is to follow
    SWITCH_UNDONE = auto()  # the same product is to follow after all
    RENEWAL_OFF = auto()
    RENEWAL_ON = auto()
    RENEWAL_BY_STATUS = auto()  # on or off, as the renewal info says
    GRACE = auto()
    RETRY = auto()
    GRACE_OVER = auto()
    EXPIRED_BY_CHOICE = auto()
    EXPIRED_BY_BILLING = auto()
    EXPIRED_BY_PRICE = auto()
    EXPIRED_UNSOLD = auto()  # the product is no longer sold
    EXPIRED_BY_INTENT = auto()  # why is told by the renewal info
    PRICE_ASKED = auto()
    PRICE_AGREED = auto()
    REFUNDED = auto()
    REFUND_UNDONE = auto()
    REVOKED = auto()
    EXTENDED = auto()
    NOTHING = auto()


NO_SUBTYPE: Final = ""

ROWS: Final[Mapping[tuple[str, str], Rule]] = {
    ("SUBSCRIBED", "INITIAL_BUY"): Rule.FIRST_PERIOD,
    ("SUBSCRIBED", "RESUBSCRIBE"): Rule.NEXT_PERIOD,
    ("SUBSCRIBED", NO_SUBTYPE): Rule.SOME_PERIOD,
    ("OFFER_REDEEMED", NO_SUBTYPE): Rule.OFFER_PERIOD,
    ("OFFER_REDEEMED", "UPGRADE"): Rule.NEXT_PERIOD,
    ("OFFER_REDEEMED", "DOWNGRADE"): Rule.SWITCH_ASKED,
    # Since January 2024 these two come as SUBSCRIBED; histories still hold them.
    ("OFFER_REDEEMED", "INITIAL_BUY"): Rule.FIRST_PERIOD,
    ("OFFER_REDEEMED", "RESUBSCRIBE"): Rule.NEXT_PERIOD,
    ("DID_RENEW", NO_SUBTYPE): Rule.NEXT_PERIOD,
    ("DID_RENEW", "BILLING_RECOVERY"): Rule.NEXT_PERIOD,
    ("DID_CHANGE_RENEWAL_PREF", "UPGRADE"): Rule.NEXT_PERIOD,
    ("DID_CHANGE_RENEWAL_PREF", "DOWNGRADE"): Rule.SWITCH_ASKED,
    ("DID_CHANGE_RENEWAL_PREF", NO_SUBTYPE): Rule.SWITCH_UNDONE,
    ("DID_CHANGE_RENEWAL_STATUS", "AUTO_RENEW_DISABLED"): Rule.RENEWAL_OFF,
    ("DID_CHANGE_RENEWAL_STATUS", "AUTO_RENEW_ENABLED"): Rule.RENEWAL_ON,
    ("DID_CHANGE_RENEWAL_STATUS", NO_SUBTYPE): Rule.RENEWAL_BY_STATUS,
    ("DID_FAIL_TO_RENEW", "GRACE_PERIOD"): Rule.GRACE,
    ("DID_FAIL_TO_RENEW", NO_SUBTYPE): Rule.RETRY,
    ("GRACE_PERIOD_EXPIRED", NO_SUBTYPE): Rule.GRACE_OVER,
    ("EXPIRED", "VOLUNTARY"): Rule.EXPIRED_BY_CHOICE,
    ("EXPIRED", "BILLING_RETRY"): Rule.EXPIRED_BY_BILLING,
    ("EXPIRED", "PRICE_INCREASE"): Rule.EXPIRED_BY_PRICE,
    ("EXPIRED", "PRODUCT_NOT_FOR_SALE"): Rule.EXPIRED_UNSOLD,
    ("EXPIRED", NO_SUBTYPE): Rule.EXPIRED_BY_INTENT,
    ("PRICE_INCREASE", "PENDING"): Rule.PRICE_ASKED,
    ("PRICE_INCREASE", "ACCEPTED"): Rule.PRICE_AGREED,
    ("REFUND", NO_SUBTYPE): Rule.REFUNDED,
    ("REFUND_REVERSED", NO_SUBTYPE): Rule.REFUND_UNDONE,
    ("REFUND_DECLINED", NO_SUBTYPE): Rule.NOTHING,
    ("CONSUMPTION_REQUEST", NO_SUBTYPE): Rule.NOTHING,
    ("REVOKE", NO_SUBTYPE): Rule.REVOKED,
    ("RENEWAL_EXTENDED", NO_SUBTYPE): Rule.EXTENDED,
    # Another of Apple's pages calls the summary a success.
    ("RENEWAL_EXTENSION", "SUMMARY"): Rule.NOTHING,
    ("RENEWAL_EXTENSION", "SUCCESS"): Rule.NOTHING,
    ("RENEWAL_EXTENSION", "FAILURE"): Rule.NOTHING,
    ("ONE_TIME_CHARGE", NO_SUBTYPE): Rule.NOTHING,
    ("EXTERNAL_PURCHASE_TOKEN", "CREATED"): Rule.NOTHING,
    ("EXTERNAL_PURCHASE_TOKEN", "ACTIVE_TOKEN_REMINDER"): Rule.NOTHING,
    ("EXTERNAL_PURCHASE_TOKEN", "UNREPORTED"): Rule.NOTHING,
    ("RESCIND_CONSENT", NO_SUBTYPE): Rule.NOTHING,
    ("METADATA_UPDATE", NO_SUBTYPE): Rule.NOTHING,
    # Apple's changelog spells it the second way.
    ("MIGRATION", NO_SUBTYPE): Rule.NOTHING,
    ("MIGRATE", NO_SUBTYPE): Rule.NOTHING,
    # The customer is asked by a PRICE_INCREASE.
    ("PRICE_CHANGE", NO_SUBTYPE): Rule.NOTHING,
    ("TEST", NO_SUBTYPE): Rule.NOTHING,
}
"""What Apple documents. The names are Apple's, the rules ours."""

OTHER_SUBTYPES: Final[Mapping[str, Rule]] = {
    "SUBSCRIBED": Rule.SOME_PERIOD,
    "OFFER_REDEEMED": Rule.OFFER_PERIOD,
    "DID_RENEW": Rule.NEXT_PERIOD,
    "DID_FAIL_TO_RENEW": Rule.RETRY,
    "GRACE_PERIOD_EXPIRED": Rule.GRACE_OVER,
    "EXPIRED": Rule.EXPIRED_BY_INTENT,
    "REFUND": Rule.REFUNDED,
    "REFUND_REVERSED": Rule.REFUND_UNDONE,
    "REVOKE": Rule.REVOKED,
    "RENEWAL_EXTENDED": Rule.EXTENDED,
}
"""Types whose meaning is plain whatever their subtype; of all others a subtype that is not in the
table says nothing."""

TYPES: Final = frozenset(type_ for type_, _ in ROWS)
"""The types of notification that this release understands."""


def is_documented(type_: str, subtype: str) -> bool:
    """Tell whether this kind of notification is one that this release knows."""
    return (type_, subtype) in ROWS


def rule_for(type_: str, subtype: str) -> Rule:
    """Tell what a notification says; of every kind there is, and of every one that may come."""
    return ROWS.get((type_, subtype)) or OTHER_SUBTYPES.get(type_, Rule.NOTHING)

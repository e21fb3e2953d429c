"""The life of subscriptions: what Apple tells of it, when, and with what in it."""

from dataclasses import replace

import pytest

from boxoffice_sandbox.app_store import money_back, passing, purchases, renewals
from boxoffice_sandbox.app_store.catalogue import Offer, OfferKind, OfferMode, Product
from boxoffice_sandbox.app_store.subscription import Subscription, subscription_from
from boxoffice_sandbox.errors import StripeError
from tests.sandbox.app_store.stories import Story, at, day

HOUR = 3_600_000
QUARTERLY = Product(
    id="quarterly", group="premium", tier="premium", level=1, period="P3M", price=24_990
)
TWIN = Product(id="twin", group="premium", tier="premium", level=1, period="P1M", price=9_990)


def test_first_purchase_renews_early() -> None:
    """Apple renews before the period ends; the new period begins where the old one ends."""
    story = Story(early=8 * HOUR)
    found = story.buy("0101", "premium_monthly")
    story.until("0215", found)
    assert story.told == ["0101 SUBSCRIBED/INITIAL_BUY", "0131T16 DID_RENEW"]
    assert story.periods == ["premium_monthly:0101-0201", "premium_monthly:0201-0301"]
    first, second = (notice.transaction for notice in story.notices)
    assert first is not None
    assert second is not None
    assert first["transactionId"] == first["originalTransactionId"] == found.id
    assert second["originalTransactionId"] == found.id
    assert len({first["transactionId"], second["transactionId"]}) == 2
    assert first["webOrderLineItemId"] != second["webOrderLineItemId"]
    assert (first["transactionReason"], second["transactionReason"]) == ("PURCHASE", "RENEWAL")
    assert second["originalPurchaseDate"] == at("0101")


def test_trial_that_is_cancelled_resumed_converted_and_left() -> None:
    """A trial has no notification of its own at its end: the renewal carries no offer."""
    story = Story(early=4 * HOUR)
    found = story.buy("0101", "essential_monthly", offer="trial")
    story.do("0103", renewals.cancel, found)
    story.do("0105", renewals.enable, found)
    story.until("0120", found)
    story.do("0120", renewals.cancel, found)
    story.until("0301", found)
    assert story.told == [
        "0101 SUBSCRIBED/INITIAL_BUY",
        "0103 DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED",
        "0105 DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_ENABLED",
        "0107T20 DID_RENEW",
        "0120 DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED",
        "0208 EXPIRED/VOLUNTARY",
    ]
    trial, renewed = story.notices[0].transaction, story.notices[3].transaction
    assert trial is not None
    assert renewed is not None
    assert (trial["offerType"], trial["offerDiscountType"], trial["offerPeriod"]) == (
        1,
        "FREE_TRIAL",
        "P7D",
    )
    assert "offerIdentifier" not in trial
    assert (trial["price"], renewed["price"]) == (0, 4_990)
    assert "offerType" not in renewed
    assert story.last.renewal is not None
    assert story.last.renewal["expirationIntent"] == 1
    assert story.last.renewal["eligibleWinBackOfferIds"] == ["win_back"]
    assert story.last.status == 2


def test_upgrade_begins_at_once() -> None:
    """The new expiry may be earlier; the period that was left says so."""
    yearly = Product(
        id="basic_yearly", group="premium", tier="basic", level=3, period="P1Y", price=39_990
    )
    story = Story(yearly)
    found = story.buy("0101", "basic_yearly")
    story.do("0301", purchases.change, found, "premium_monthly")
    assert story.told[1:] == ["0301 DID_CHANGE_RENEWAL_PREF/UPGRADE"]
    assert story.periods[1] == "premium_monthly:0301-0401"
    assert found.transactions[0].fields["isUpgraded"] is True
    assert "isUpgraded" not in found.current.fields
    assert found.current.fields["transactionReason"] == "PURCHASE"


def test_downgrade_waits_for_the_next_period_and_can_be_taken_back() -> None:
    """The renewal carries the new product; going back before has no subtype."""
    story = Story(early=6 * HOUR)
    found = story.buy("0101", "premium_monthly")
    story.do("0105", purchases.change, found, "essential_monthly")
    story.do("0106", purchases.change, found, "premium_monthly")
    story.do("0110", purchases.change, found, "essential_monthly")
    story.until("0202", found)
    assert story.told[1:] == [
        "0105 DID_CHANGE_RENEWAL_PREF/DOWNGRADE",
        "0106 DID_CHANGE_RENEWAL_PREF",
        "0110 DID_CHANGE_RENEWAL_PREF/DOWNGRADE",
        "0131T18 DID_RENEW",
    ]
    pending, renewed = story.notices[3].renewal, story.notices[4].transaction
    assert pending is not None
    assert renewed is not None
    assert pending["productId"] == "premium_monthly"
    assert pending["autoRenewProductId"] == "essential_monthly"
    assert pending["renewalPrice"] == 4_990
    assert renewed["productId"] == "essential_monthly"


@pytest.mark.parametrize(
    ("wanted", "subtype"), [("twin", "UPGRADE"), ("premium_yearly", "DOWNGRADE")]
)
def test_crossgrade_is_immediate_where_periods_are_as_long(wanted: str, subtype: str) -> None:
    """At the same level the length decides."""
    story = Story(TWIN)
    found = story.buy("0101", "premium_monthly")
    story.do("0105", purchases.change, found, wanted)
    assert story.last.subtype == subtype


def test_refund_is_reversed_and_renewal_stays_off() -> None:
    """The date of renewal is unchanged, and the revocation fields are gone."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.do("0110", renewals.cancel, found)
    story.do("0112", money_back.refund, found, reason=1)
    refunded = story.last
    assert refunded.status == 5
    assert refunded.transaction is not None
    assert refunded.transaction["revocationDate"] == at("0112")
    assert refunded.transaction["revocationReason"] == 1
    assert refunded.transaction["revocationType"] == "REFUND_FULL"
    assert refunded.transaction["revocationPercentage"] == 100_000
    story.do("0120", money_back.reverse, found)
    assert story.last.transaction is not None
    assert not [name for name in story.last.transaction if name.startswith("revocation")]
    assert story.last.renewal is not None
    assert story.last.renewal["autoRenewStatus"] == 0
    story.until("0301", found)
    assert story.told[2:] == ["0112 REFUND", "0120 REFUND_REVERSED", "0201 EXPIRED/VOLUNTARY"]


def test_refund_of_an_older_period_takes_nothing_away() -> None:
    """It is told with that period, in part or whole, and the subscription goes on."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.until("0205", found)
    story.do("0205", money_back.refund, found, transaction=found.id, percentage=40)
    assert story.periods[-1] == "premium_monthly:0101-0201"
    assert story.last.status == 1
    assert story.last.transaction is not None
    assert story.last.transaction["revocationType"] == "REFUND_PRORATED"
    assert story.last.transaction["revocationPercentage"] == 40_000
    story.until("0302", found)
    assert story.told[-1] == "0301 DID_RENEW"


def test_refund_after_the_end_can_be_reversed_without_giving_access() -> None:
    """Nothing is left of the period."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.do("0112", money_back.refund, found)
    story.until("0301", found)
    story.do("0301", money_back.reverse, found)
    assert story.told[1:] == ["0112 REFUND", "0301 REFUND_REVERSED"]
    assert story.last.status == 2


def test_purchase_during_retry_is_a_second_lineage() -> None:
    """The first is tried until sixty days after its period, grace included."""
    story = Story(QUARTERLY)
    first = story.buy("0321", "quarterly")
    renewals.let_fail(first, grace_days=16)
    story.until("0720", first)
    second = story.do("0729", purchases.resubscribe, first, product="quarterly")
    story.until("0901", first, second)
    assert story.told == [
        "0321 SUBSCRIBED/INITIAL_BUY",
        "0621 DID_FAIL_TO_RENEW/GRACE_PERIOD",
        "0707 GRACE_PERIOD_EXPIRED",
        "0729 SUBSCRIBED/RESUBSCRIBE",
        "0820 EXPIRED/BILLING_RETRY",
    ]
    assert first.id != second.id
    assert first.app_transaction_id == second.app_transaction_id
    assert story.periods[3] == "quarterly:0729-1029"
    grace, retry = story.notices[1], story.notices[2]
    assert (grace.status, retry.status) == (4, 3)
    assert grace.renewal is not None
    assert grace.renewal["gracePeriodExpiresDate"] == at("0707")
    assert grace.renewal["isInBillingRetryPeriod"] is True


def test_recovery_keeps_the_billing_date_in_grace_only() -> None:
    """After it, the day of recovery counts."""
    story = Story()
    for grace_days, start in ((16, "0201"), (0, "0205")):
        found = story.buy("0101", "premium_monthly")
        renewals.let_fail(found, grace_days=grace_days)
        story.until("0205", found)
        story.do("0205", renewals.recover, found)
        assert story.told[-1] == "0205 DID_RENEW/BILLING_RECOVERY"
        assert day(found.current.fields["purchaseDate"]) == start
        assert story.last.status == 1


def test_customer_who_gives_up_in_grace_or_retry_expires_voluntarily() -> None:
    """At the end of grace, or at once."""
    story = Story()
    for grace_days, when in ((16, "0217"), (0, "0205")):
        found = story.buy("0101", "premium_monthly")
        renewals.let_fail(found, grace_days=grace_days)
        story.until("0205", found)
        story.do("0205", renewals.cancel, found)
        story.until("0501", found)
        assert story.told[-1] == f"{when} EXPIRED/VOLUNTARY"


def test_higher_price_needs_consent() -> None:
    """Without an answer it ends, with a no as well, with a yes it costs more."""
    for answer, told in (
        (None, ["0201 EXPIRED/PRICE_INCREASE"]),
        (renewals.accept_price, ["0110 PRICE_INCREASE/ACCEPTED", "0201 DID_RENEW"]),
        (
            renewals.refuse_price,
            ["0110 DID_CHANGE_RENEWAL_STATUS", "0201 EXPIRED/PRICE_INCREASE"],
        ),
    ):
        story = Story()
        found = story.buy("0101", "premium_monthly")
        story.do("0105", renewals.raise_price, found, 12_990, consent=True)
        assert story.last.renewal is not None
        assert story.last.renewal["priceIncreaseStatus"] == 0
        assert story.last.renewal["renewalPrice"] == 12_990
        if answer is not None:
            story.do("0110", answer, found)
        story.until("0202", found)
        assert story.told[1:] == ["0105 PRICE_INCREASE/PENDING", *told]
        accepted = answer is renewals.accept_price
        assert found.current.fields["price"] == (12_990 if accepted else 9_990)
        assert story.last.renewal is not None
        assert story.last.renewal.get("expirationIntent") == (None if accepted else 3)


def test_customer_who_cancelled_before_answering_left_voluntarily() -> None:
    """The price is not what ended it."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.do("0105", renewals.raise_price, found, 12_990, consent=True)
    story.do("0110", renewals.cancel, found)
    story.until("0202", found)
    assert story.told[-1] == "0201 EXPIRED/VOLUNTARY"


def test_higher_price_that_needs_no_consent_is_accepted() -> None:
    """Apple tells it as accepted."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.do("0105", renewals.raise_price, found, 10_490, consent=False)
    story.until("0302", found)
    assert story.told[1:] == ["0105 PRICE_INCREASE/ACCEPTED", "0201 DID_RENEW", "0301 DID_RENEW"]
    assert found.current.fields["price"] == 10_490


def test_former_customer_comes_back_to_the_same_lineage() -> None:
    """With a win-back offer, which the transaction names."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.do("0105", renewals.cancel, found)
    story.until("0301", found)
    back = story.do("0315", purchases.resubscribe, found, offer="win_back")
    assert back is found
    assert story.told[-1] == "0315 SUBSCRIBED/RESUBSCRIBE"
    assert story.periods[-1] == "premium_monthly:0315-0615"
    assert found.current.fields["offerIdentifier"] == "win_back"
    assert found.current.fields["offerType"] == 4
    assert story.last.renewal is not None
    assert story.last.renewal["recentSubscriptionStartDate"] == at("0315")


@pytest.mark.parametrize("at_once", [True, False])
def test_offer_is_redeemed_now_or_for_the_next_period(*, at_once: bool) -> None:
    """One that is paid as you go comes with each of its periods, then no more."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.do("0110", purchases.redeem, found, "spring", at_once=at_once)
    assert story.told[-1] == "0110 OFFER_REDEEMED"
    carries = "offerType" in found.current.fields
    assert carries is at_once
    story.until("0620", found)
    named = [it.fields.get("offerIdentifier") for it in found.transactions]
    assert named[:5] == [None, "spring", "spring", "spring", None]
    assert found.transactions[1].fields["price"] == 4_990


def test_offer_with_a_change_of_product() -> None:
    """Higher at once, lower with the next period."""
    story = Story()
    found = story.buy("0101", "essential_monthly")
    story.do("0105", purchases.change, found, "premium_monthly", offer="spring")
    story.do("0110", purchases.change, found, "essential_monthly", offer="code")
    story.until("0206", found)
    assert story.told[1:] == [
        "0105 OFFER_REDEEMED/UPGRADE",
        "0110 OFFER_REDEEMED/DOWNGRADE",
        "0205 DID_RENEW",
    ]
    assert story.notices[1].transaction is not None
    assert story.notices[1].transaction["offerIdentifier"] == "spring"
    assert found.current.fields["offerIdentifier"] == "code"
    assert found.current.fields["productId"] == "essential_monthly"


def test_extension_moves_the_renewal_and_not_the_transaction() -> None:
    """Only the renewal info has the new date; the next period begins there."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.do("0105", renewals.extend, found, 10)
    assert story.periods[-1] == "premium_monthly:0101-0201"
    assert story.last.renewal is not None
    assert story.last.renewal["renewalDate"] == at("0211")
    story.until("0212", found)
    assert story.periods[-1] == "premium_monthly:0211-0311"


def test_product_that_is_no_longer_sold_ends() -> None:
    """At the end of the period."""
    story = Story(TWIN)
    found = story.buy("0101", "twin")
    story.products["twin"] = replace(TWIN, for_sale=False)
    story.until("0202", found)
    assert story.told[-1] == "0201 EXPIRED/PRODUCT_NOT_FOR_SALE"
    assert story.last.renewal is not None
    assert story.last.renewal["expirationIntent"] == 4


def test_family_member_has_a_lineage_and_no_token() -> None:
    """It ends with the purchaser's period, and can be revoked."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    found.app_account_token = "8f0b8b1e-1c7a-4d58-9f57-0f0f4f5f6f7f"
    member = story.do("0110", purchases.share, found)
    fields = member.current.fields
    assert member.id != found.id
    assert fields["inAppOwnershipType"] == "FAMILY_SHARED"
    assert "appAccountToken" not in fields
    assert fields["expiresDate"] == at("0201")
    assert fields["appTransactionId"] != found.app_transaction_id
    story.do("0115", money_back.revoke, member)
    assert story.told[1:] == ["0110 SUBSCRIBED/INITIAL_BUY", "0115 REVOKE"]
    assert story.last.status == 5
    assert story.last.transaction is not None
    assert story.last.transaction["revocationType"] == "FAMILY_REVOKE"


def test_months_end_on_the_day_they_began() -> None:
    """Or on their last, without forgetting the day."""
    story = Story()
    found = story.buy("0131", "premium_monthly")
    story.until("0415", found)
    assert [day(it.fields["expiresDate"]) for it in found.transactions] == [
        "0228",
        "0331",
        "0430",
    ]


def test_what_makes_no_sense_is_refused_with_a_reason() -> None:
    """Each names what is in the way, and nothing is told of it."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    for act, words, reason in (
        (renewals.renew, (), "within a day"),
        (renewals.enable, (), "renews as it is"),
        (renewals.recover, (), "must be grace or retry"),
        (renewals.accept_price, (), "was not asked"),
        (purchases.resubscribe, (), "only a former customer"),
        (purchases.change, ("nothing",), "No such product"),
        (purchases.change, ("premium_monthly",), "stays so"),
        (money_back.reverse, (), "has no refund"),
        (money_back.revoke, (), "its customer's own"),
    ):
        with pytest.raises(StripeError, match=reason):
            story.do("0105", act, found, *words)
    assert len(story.notices) == 1


def test_subscription_is_read_as_it_was_written() -> None:
    """Also in the middle of things."""
    story = Story()
    found = story.buy("0101", "premium_monthly", offer="spring")
    story.do("0105", renewals.raise_price, found, 12_990, consent=True)
    renewals.let_fail(found, grace_days=3)
    assert subscription_from(found.data()) == found


def test_price_of_an_introductory_price_is_paid_up_front() -> None:
    """One period as long as the offer."""
    story = Story()
    found = story.buy("0101", "premium_yearly", offer="intro")
    assert story.periods == ["premium_yearly:0101-0401"]
    story.until("0402", found)
    assert found.current.fields["price"] == 99_990


def test_due_is_never_before_the_period_began() -> None:
    """Also where a period is shorter than Apple's lead."""
    short = Product(
        id="short",
        group="premium",
        tier="premium",
        level=1,
        period="PT5M",
        price=990,
        offers=(Offer(id="o", kind=OfferKind.CODE, mode=OfferMode.FREE_TRIAL, period="PT5M"),),
    )
    story = Story(short)
    found: Subscription = story.buy("0101", "short")
    assert passing.due(found, story.products, early=HOUR) == at("0101") + 1
